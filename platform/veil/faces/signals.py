"""What is measured on aligned crops beside their landmarks: parsing and pose, or why there is none."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from veil.faces.parsing import Parser, take_own_sides
from veil.faces.pose import estimate_pose
from veil.faces.table import FaceTable, images_to_tensor
from veil.interfaces import NO_PART, FaceBatch

if TYPE_CHECKING:
    from torch import Tensor

SIGNALS = {"landmarks68": "landmarks", "parsing": "parsing map", "pose": "head pose"}
"""Everything that a conditioning may need, and what messages call it."""


class Signals(NamedTuple):
    """Signals of one face.

    Attributes:
        parsing: uint8 (112, 112), numbers of FACE_PARTS; None if there is none.
        pose: float32 (3,), yaw, pitch and roll in degrees, see `veil.faces.pose`; None if it could not be computed.
        missing: why "parsing" or "pose" is None, by name.
    """

    parsing: np.ndarray | None
    pose: np.ndarray | None
    missing: dict[str, str]


def measure_signals(
    crops: np.ndarray,
    landmarks68: np.ndarray,
    parser: Parser,
    own_maps: "Sequence[np.ndarray | None] | None" = None,
) -> list[Signals]:
    """Parse faces and estimate the poses of their heads.

    Args:
        crops: uint8 (B, 3, 112, 112), RGB.
        landmarks68: float (B, 68, 2), crop pixels; NaN for a face that has none.
        parser: makes the maps.
        own_maps: uint8 (112, 112) map of each face that the dataset brings along, or None, which leaves it to the
            parser; see `veil.faces.parsing.warp_parsing`.
    """
    import torch

    with torch.no_grad():
        maps = parser(images_to_tensor(crops), torch.from_numpy(landmarks68)).cpu().numpy()
    signals = []
    for parsed, landmarks, own in zip(maps, landmarks68, own_maps or [None] * len(maps), strict=True):
        pose, missing = estimate_pose(landmarks), {}
        if pose.degrees is None:
            missing["pose"] = pose.failure
        if own is not None:
            parsed = take_own_sides(own, landmarks) if np.isfinite(landmarks).all() else own
        if (parsed == NO_PART).all():
            missing["parsing"] = parser.failure
        signals.append(Signals(None if "parsing" in missing else parsed, pose.degrees, missing))
    return signals


def count_missing(faces: FaceTable, needs: Iterable[str]) -> dict[str, int]:
    """How many faces of a table lack each of some signals, by the words of SIGNALS; what no face lacks is left out."""
    counts = {SIGNALS[need]: int((~faces.has([need])).sum()) for need in sorted(needs)}
    return {words: count for words, count in counts.items() if count}


def measure_faces(
    crops: np.ndarray, landmarker: "Callable[[Tensor], Tensor]", parser: Parser | None = None
) -> FaceBatch:
    """Measure crops that are in no table, for an anonymizer.

    Args:
        crops: uint8 (B, 3, 112, 112), RGB.
        landmarker: maps float (B, 3, 112, 112) in [-1, 1] to 68 landmarks (B, 68, 2).
        parser: the one that the anonymizer was trained with; None if it needs no maps.
    """
    import torch

    images = images_to_tensor(crops)
    with torch.no_grad():
        landmarks = landmarker(images)
        parsing = None if parser is None else parser(images, landmarks)
    pose = np.full((len(crops), 3), np.nan, np.float32)
    for index, points in enumerate(landmarks.numpy()):
        degrees = estimate_pose(points).degrees
        if degrees is not None:
            pose[index] = degrees
    return FaceBatch(images, landmarks, parsing, torch.from_numpy(pose))
