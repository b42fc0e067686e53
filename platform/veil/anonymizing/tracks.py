"""Faces over the frames of a video: who is where, in smooth movement, also where the detector looked away.

Shapes: F frames of a track.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from veil.anonymizing.faces import PlacedFace
from veil.faces.align import ARCFACE_TEMPLATE
from veil.faces.detection import Detection

MIN_OVERLAP = 0.3
"""Intersection over union above which a face in one frame is the face of an earlier one."""

BRIDGED_SECONDS = 1.0
"""A face that is found again in the same place within this time was there all along."""

HELD_SECONDS = 0.4
"""For this long before it is first found and after it was last found, the place of a face is blacked out: heads that
turn away are lost by the detector before they are lost by people."""

MIN_SIGHTINGS = 3
"""Faces found less often are held no longer: most of them are none."""

SMOOTHED_SECONDS = 0.28
MAX_SHIFT = 4.0
"""Crop pixels by which smoothing may move a face; where it would move it further, the face moves as it was found."""


class Frames(NamedTuple):
    """What was found in the frames of a video.

    Attributes:
        faces: of each frame.
        cuts: numbers of the frames that begin a new scene.
        rate: frames per second.
    """

    faces: list[list[Detection]]
    cuts: frozenset[int]
    rate: float


@dataclass
class Track:
    """One face in consecutive frames of a scene, some of which may lack it.

    Attributes:
        frames: numbers of the frames that it was found in, ascending.
        faces: the face in each of them.
    """

    frames: list[int] = field(default_factory=list)
    faces: list[Detection] = field(default_factory=list)


def link(video: Frames) -> list[Track]:
    """Join the faces of all frames to tracks, in order of their first frames.

    Of all assignments of the faces in a frame to the tracks that are still followed, the one with the largest total
    overlap is taken. No track goes on beyond a cut.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import

    tracks: list[Track] = []
    followed: list[Track] = []
    for number, faces in enumerate(video.faces):
        if number in video.cuts:
            followed = []
        followed = [track for track in followed if number - track.frames[-1] <= BRIDGED_SECONDS * video.rate]
        overlaps = np.array([[_overlap(track.faces[-1].box, face.box) for face in faces] for track in followed])
        left = set(range(len(faces)))
        pairs = linear_sum_assignment(overlaps.reshape(len(followed), len(faces)), maximize=True)
        for which, index in zip(*pairs, strict=True):
            if overlaps[which, index] >= MIN_OVERLAP:
                followed[which].frames.append(number)
                followed[which].faces.append(faces[index])
                left.remove(index)
        new = [Track([number], [faces[index]]) for index in sorted(left)]
        tracks += new
        followed += new
    return tracks


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[:2] + one[2:], other[:2] + other[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    return shared / (float(np.prod(one[2:]) + np.prod(other[2:])) - shared)


def place_track(track: Track, placed: Sequence[PlacedFace], rate: float) -> Iterator[tuple[int, PlacedFace]]:
    """Where a face lies in every frame from its first to its last.

    Alignments are smoothed over time, by fitting short parabolas to them, which neither lags behind nor rounds off a
    steady movement; between frames that have one they are interpolated.

    Args:
        track: the face.
        placed: it in each of the track's frames, as it was found.
        rate: frames per second.

    Yields:
        Number of the frame, and the face there.
    """
    aligned = [(frame, face) for frame, face in zip(track.frames, placed, strict=True) if face.problem is None]
    found = dict(zip(track.frames, placed, strict=True))
    every = np.arange(track.frames[0], track.frames[-1] + 1)
    boxes = _interpolate(every, track.frames, np.stack([face.box for face in placed]))
    if aligned:
        frames = [frame for frame, _ in aligned]
        # Crop to image: there, averages of similarities are similarities, and pixels of the image what is averaged.
        backward = np.stack([_invert(face.matrix) for _, face in aligned if face.matrix is not None])
        smooth = _smooth(_interpolate(every, frames, backward), rate)
        measured = dict(zip(frames, backward, strict=True))
    for index, frame in enumerate(every.tolist()):
        face = found.get(frame)
        if face is not None and face.problem is not None:
            yield frame, face
        elif not aligned or not aligned[0][0] <= frame <= aligned[-1][0]:
            yield frame, PlacedFace(boxes[index], None, problem="the face is lost here")
        else:
            matrix = _invert(smooth[index])
            own = measured.get(frame)
            if own is not None and _shift(matrix, own) > MAX_SHIFT:
                matrix = _invert(own)
            landmarks5 = None if face is None else face.landmarks5
            yield frame, PlacedFace(boxes[index], matrix, landmarks5)


def held_frames(track: Track, video: Frames) -> Iterator[tuple[int, np.ndarray]]:
    """Frames just before and after a track in which its face may still be seen, each with the face's box."""
    if len(track.frames) < MIN_SIGHTINGS:
        return
    length = max(1, round(HELD_SECONDS * video.rate))
    first, last = track.frames[0], track.frames[-1]
    for frame in range(first - 1, max(first - length, 0) - 1, -1):
        if frame + 1 in video.cuts:
            break
        yield frame, track.faces[0].box
    for frame in range(last + 1, min(last + length, len(video.faces) - 1) + 1):
        if frame in video.cuts:
            break
        yield frame, track.faces[-1].box


def _interpolate(every: np.ndarray, frames: Sequence[int], values: np.ndarray) -> np.ndarray:
    flat = values.reshape(len(values), -1)
    columns = [np.interp(every, frames, column) for column in flat.T]
    return np.stack(columns, axis=1).reshape(len(every), *values.shape[1:])


def _smooth(values: np.ndarray, rate: float) -> np.ndarray:
    """Float (F, 2, 3), smoothed over F."""
    from scipy.signal import savgol_filter  # slow to import

    window = min(2 * round(SMOOTHED_SECONDS * rate / 2) + 1, len(values) - (len(values) + 1) % 2)
    return values if window <= 3 else np.asarray(savgol_filter(values, window, polyorder=2, axis=0))


def _invert(matrix: np.ndarray) -> np.ndarray:
    square = np.vstack([np.asarray(matrix, np.float64), [0, 0, 1]])
    return np.asarray(np.linalg.inv(square)[:2])


def _shift(matrix: np.ndarray, backward: np.ndarray) -> float:
    """Mean distance, in crop pixels, between the template and where two alignments together send it."""
    there = ARCFACE_TEMPLATE @ backward[:, :2].T + backward[:, 2]
    back = there @ matrix[:, :2].T + matrix[:, 2]
    return float(np.linalg.norm(back - ARCFACE_TEMPLATE, axis=1).mean())
