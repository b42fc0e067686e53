"""What is measured on aligned crops beside their landmarks: parsing and pose, or why there is none."""

from typing import NamedTuple

import numpy as np

from veil.faces.parsing import Parser
from veil.faces.pose import HeadPose, estimate_pose
from veil.faces.table import images_to_tensor
from veil.interfaces import NO_PART


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


def measure_signals(crops: np.ndarray, landmarks68: np.ndarray, parser: Parser) -> list[Signals]:
    """Parse faces and estimate the poses of their heads.

    Args:
        crops: uint8 (B, 3, 112, 112), RGB.
        landmarks68: float (B, 68, 2), crop pixels; NaN for a face that has none.
        parser: makes the maps.
    """
    import torch

    with torch.no_grad():
        maps = parser(images_to_tensor(crops), torch.from_numpy(landmarks68)).cpu().numpy()
    poses = [estimate_pose(landmarks) for landmarks in landmarks68]
    return [_signals(parsed, pose, parser) for parsed, pose in zip(maps, poses, strict=True)]


def _signals(parsed: np.ndarray, pose: HeadPose, parser: Parser) -> Signals:
    missing = {}
    if (parsed == NO_PART).all():
        missing["parsing"] = parser.failure
    if pose.degrees is None:
        missing["pose"] = pose.failure
    return Signals(None if "parsing" in missing else parsed, pose.degrees, missing)
