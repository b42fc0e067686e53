"""Faces over time: linked where they overlap, bridged where they are lost, smooth and without lag."""

import numpy as np
import pytest

from veil.anonymizing.faces import PlacedFace
from veil.anonymizing.tracks import MAX_SHIFT, Frames, held_frames, link, place_track
from veil.faces.align import ARCFACE_TEMPLATE, estimate_similarity
from veil.faces.detection import Detection

RATE = 25.0


def _face(x, y, size=60.0, noise=0.0, seed=0):
    jitter = np.random.default_rng(seed).normal(0, noise, (5, 2)) if noise else 0.0
    points = (ARCFACE_TEMPLATE + 0.5) / 112 * size + [x, y] - 0.5 + jitter
    return Detection(0.9, np.array([x, y, size, size], np.float32), points.astype(np.float32))


def _placed(track):
    return [PlacedFace(face.box, estimate_similarity(face.landmarks5), face.landmarks5) for face in track.faces]


def _where(face):
    """Centre of the crop, in pixels of the image."""
    return np.linalg.inv(np.vstack([face.matrix, [0, 0, 1]]))[:2] @ [55.5, 55.5, 1]


def test_two_people_who_swap_the_order_of_detection_stay_two_tracks():
    frames = [[_face(10 + 2 * t, 20), _face(200 - 2 * t, 20)][:: 1 if t % 2 else -1] for t in range(20)]
    tracks = link(Frames(frames, frozenset(), RATE))
    assert [len(track.frames) for track in tracks] == [20, 20]
    assert all(np.abs(np.diff([face.box[0] for face in track.faces])).max() == 2 for track in tracks)


def test_short_gaps_are_bridged_and_long_ones_and_cuts_are_not():
    seen = [[_face(10, 20)]] * 5
    assert len(link(Frames(seen + [[]] * 10 + seen, frozenset(), RATE))) == 1
    assert len(link(Frames(seen + [[]] * 30 + seen, frozenset(), RATE))) == 2
    assert len(link(Frames(seen + seen, frozenset({5}), RATE))) == 2


def test_a_face_lost_in_between_is_placed_where_it_must_have_been():
    frames = [[_face(10 + t, 20)] if t not in (4, 5, 6) else [] for t in range(12)]
    (track,) = link(Frames(frames, frozenset(), RATE))
    placed = dict(place_track(track, _placed(track), RATE))
    assert sorted(placed) == list(range(12))
    for t, face in placed.items():
        assert _where(face) == pytest.approx([10 + t + 29.5, 49.5], abs=0.1)
        assert (face.landmarks5 is None) == (t in (4, 5, 6))


def test_smoothing_removes_jitter_and_does_not_lag_behind_a_moving_face():
    frames = [[_face(10 + 3 * t, 20 + t, noise=0.7, seed=t)] for t in range(40)]
    (track,) = link(Frames(frames, frozenset(), RATE))
    placed, measured = dict(place_track(track, _placed(track), RATE)), _placed(track)
    truth = np.array([[10 + 3 * t + 29.5, 20 + t + 29.5] for t in range(40)])
    error = np.array([_where(placed[t]) for t in range(40)]) - truth
    raw = np.array([_where(face) for face in measured]) - truth
    assert np.abs(error.mean(axis=0)).max() < 0.25
    # A jerk from frame to frame is what people see.
    assert np.diff(error, axis=0).std() < 0.5 * np.diff(raw, axis=0).std()


def test_smoothing_never_leaves_the_face():
    """A sudden jump is no jitter: there the face is where it was found."""
    frames = [[_face(10 if t < 10 else 34, 20)] for t in range(20)]
    (track,) = link(Frames(frames, frozenset(), RATE))
    for t, face in place_track(track, _placed(track), RATE):
        assert np.linalg.norm(_where(face) - [(10 if t < 10 else 34) + 29.5, 49.5]) <= MAX_SHIFT * 60 / 112


def test_what_cannot_be_aligned_keeps_its_reason():
    frames = [[_face(10, 20)] for _ in range(6)]
    (track,) = link(Frames(frames, frozenset(), RATE))
    placed = _placed(track)
    placed[0] = placed[0]._replace(matrix=None, problem="smaller than 20 px")
    result = dict(place_track(track, placed, RATE))
    assert result[0].problem == "smaller than 20 px" and all(result[t].problem is None for t in range(1, 6))
    nothing = [face._replace(matrix=None, problem="smaller than 20 px") for face in placed]
    assert {face.problem for _, face in place_track(track, nothing, RATE)} == {"smaller than 20 px"}


def test_places_are_held_before_and_after_but_not_across_a_cut():
    frames = [[]] * 20 + [[_face(10, 20)]] * 5 + [[]] * 20
    video = Frames(frames, frozenset({27}), RATE)
    (track,) = link(video)
    assert sorted(frame for frame, _ in held_frames(track, video)) == [*range(10, 20), 25, 26]
    (blink,) = link(Frames([[], [_face(10, 20)], []], frozenset(), RATE))
    assert list(held_frames(blink, Frames(frames, frozenset(), RATE))) == []
