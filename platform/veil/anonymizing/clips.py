"""One video with its faces anonymized: every face keeps one identity, moves smoothly, and is never lost in between."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from veil.anonymizing.blending import black_out, blackout_box
from veil.anonymizing.faces import FaceAnonymizer, PlacedFace, TreatedFace
from veil.anonymizing.tracks import Frames, Track, held_frames, link, place_track
from veil.anonymizing.videos import read_facts, read_frames, write_video

Progress = Callable[[int, int], None]

_CUT_LEVELS = 30.0
"""Mean difference of two consecutive thumbnails, in 8-bit levels, above which a new scene begins."""

_THUMBNAIL = (32, 18)


@dataclass
class TreatedTrack:
    """What was done to a face over a video.

    Attributes:
        seconds: when it is seen first and last.
        anonymized: number of frames in which it was anonymized.
        blacked_out: number of frames in which it was blacked out, by reason.
    """

    seconds: tuple[float, float]
    anonymized: int = 0
    blacked_out: Counter[str] = field(default_factory=Counter)

    def values(self) -> dict[str, Any]:
        """All of this as plain values."""
        return {"seconds": self.seconds, "anonymized": self.anonymized, "blacked_out": dict(self.blacked_out)}


@dataclass
class TreatedClip:
    """What was done to a video.

    Attributes:
        frames: how many it has.
        tracks: what was done to each face.
        black_frames: frames without any face, which are black.
        beside: what was blacked out that belongs to none of these faces, by reason, summed over frames.
        notes: what else there is to say.
    """

    frames: int
    tracks: list[TreatedTrack]
    black_frames: int = 0
    beside: Counter[str] = field(default_factory=Counter)
    notes: tuple[str, ...] = ()

    @property
    def reasons(self) -> Counter[str]:
        """Why something was blacked out, summed over faces and frames."""
        return sum((track.blacked_out for track in self.tracks), self.beside)


class ClipAnonymizer:
    """Anonymizes one video in two passes: the first finds its faces, the second renders them.

    Args:
        source: the video.
        faces: anonymizes faces.
        key: decides, with the number of a face, whom it shows; the same key gives the same people.
        progress: called with the number of frames done, of both passes, and of all, 0 if that is not known.

    Raises:
        UnreadableImageError: the source is no video, or damaged.
    """

    def __init__(self, source: Path, faces: FaceAnonymizer, key: str, progress: Progress) -> None:
        self._source = source
        self._faces = faces
        self._progress = progress
        facts = read_facts(source)
        self._found = self._find(facts.rate, facts.frames)
        tracks = link(self._found)
        notes = (f"left out: {', '.join(facts.left_out)}",) if facts.left_out else ()
        rate = facts.rate
        self.clip = TreatedClip(
            len(self._found.faces),
            [TreatedTrack((track.frames[0] / rate, track.frames[-1] / rate)) for track in tracks],
            notes=notes,
        )
        self._plan: list[list[tuple[int, PlacedFace]]] = [[] for _ in self._found.faces]
        self._held: list[list[np.ndarray]] = [[] for _ in self._found.faces]
        for number, track in enumerate(tracks):
            self._schedule(number, track, _seed(key, number))

    @property
    def frames_without_face(self) -> int:
        """How many frames show no face as far as is known."""
        return sum(not (faces or held) for faces, held in zip(self._plan, self._held, strict=True))

    def write(self, path: Path, keep_audio: bool) -> TreatedClip:
        """Write the anonymized video; frames without any face are black.

        Raises:
            UnreadableImageError: the source is damaged.
            OSError: the file cannot be written.
        """
        write_video(path, self._source, self._render, keep_audio)
        beside = (f"{reason}: blacked out {count} times" for reason, count in sorted(self.clip.beside.items()))
        self.clip.notes = (*self.clip.notes, *beside)
        return self.clip

    def _find(self, rate: float, expected: int) -> Frames:
        found, cuts, previous = [], set(), None
        for number, frame in enumerate(read_frames(self._source)):
            small = cv2.resize(frame.pixels, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
            if previous is not None and np.abs(small - previous).mean() > _CUT_LEVELS:
                cuts.add(number)
            previous = small
            found.append(self._faces.cropper.find(frame.pixels))
            self._progress(number + 1, 2 * expected)
        return Frames(found, frozenset(cuts), rate)

    def _schedule(self, number: int, track: Track, seed: int) -> None:
        placed = [self._faces.place(face) for face in track.faces]
        for frame, face in place_track(track, placed, self._found.rate):
            self._plan[frame].append((number, face._replace(seed=seed)))
        for frame, box in held_frames(track, self._found):
            self._held[frame].append(box)

    def _render(self, number: int, pixels: np.ndarray) -> np.ndarray:
        self._progress(self.clip.frames + number + 1, 2 * self.clip.frames)
        if not (self._plan[number] or self._held[number]):
            self.clip.black_frames += 1
            return np.zeros_like(pixels)
        image, treated = self._faces.render(pixels, [face for _, face in self._plan[number]])
        for (track, _), done in zip(self._plan[number], treated, strict=True):
            if done.treatment == "anonymized":
                self.clip.tracks[track].anonymized += 1
            else:
                self.clip.tracks[track].blacked_out[done.reason] += 1
        held = _black_out_held(image, treated, self._held[number])
        seen_later = self._faces.second_look(image, [*treated, *held])
        self.clip.beside.update(one.reason for one in (*held, *seen_later))
        return image


def _black_out_held(
    image: np.ndarray, treated: Sequence[TreatedFace], boxes: Sequence[np.ndarray]
) -> list[TreatedFace]:
    """Black out, in place, faces that a detector may have lost, but for those that it has found again."""
    held = []
    for face in boxes:
        middle = face[:2] + face[2:] / 2
        if not any(one.box.holds(*middle) for one in treated):
            box = blackout_box(face, None, (image.shape[0], image.shape[1]))
            black_out(image, box)
            held.append(TreatedFace(box, "blacked out", "just before or after a face is found"))
    return held


def _seed(key: str, number: int) -> int:
    digest = hashlib.sha256(f"{key}\0{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
