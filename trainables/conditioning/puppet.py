"""The generator sees an average head that copies the pose and the expression of the face: no proportions of its own."""

from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from trainables.conditioning.geometry import draw_polylines
from trainables.conditioning.needs import require
from veil.faces.ibug import INNER_LIPS, LEFT_BROW, LEFT_EYE, OUTER_LIPS, RIGHT_BROW, RIGHT_EYE
from veil.interfaces import FaceBatch
from veil.registry import conditionings

WEIGHTS = Path(__file__).with_name("puppet.safetensors")
"""Least-squares fit of the landmarks of 68 points to pose and actions, over faces of FER-2013's training part and their
mirror images; `tests/benchmarks/average_faces.py` makes it."""

ACTIONS = (
    "right eye open", "left eye open", "right brow raised", "left brow raised", "brows apart",
    "lips apart", "lips high", "mouth wide", "corners raised",
)  # fmt: skip
"""What is measured of an expression, in units of the distance between the eyes."""


@conditionings.register("puppet")
class Puppet:
    """Polylines through the landmarks that an average head would have in this pose, with these actions.

    Twelve numbers of a face come through: its pose and the ACTIONS. Landmarks show 136, among them the proportions that
    tell people apart. What is left of them is in the actions themselves: a wide mouth looks like half a smile.
    """

    channels = 1
    needs = frozenset({"landmarks68", "pose"})

    def __call__(self, faces: FaceBatch) -> Tensor:
        """Return float (B, 1, 112, 112), -1 background to 1 line."""
        landmarks, pose = require(faces, "landmarks68"), require(faces, "pose")
        return draw_polylines(faces._replace(landmarks=puppet_landmarks(landmarks, pose)))


def puppet_landmarks(landmarks: Tensor, pose: Tensor) -> Tensor:
    """Expected landmarks of a face of this pose and expression.

    Args:
        landmarks: float (B, 68, 2), crop pixels.
        pose: float (B, 3), degrees.

    Returns:
        float (B, 68, 2).
    """
    coefficients = _coefficients().to(landmarks)
    return (features(landmarks, pose) @ coefficients).view(-1, 68, 2)


def features(landmarks: Tensor, pose: Tensor) -> Tensor:
    """What the puppet copies: float (B, 13), 1, pose in right angles, and the ACTIONS."""
    right, left = (landmarks[:, eye.start : eye.stop] for eye in (RIGHT_EYE, LEFT_EYE))
    right_brow, left_brow = (landmarks[:, brow.start : brow.stop] for brow in (RIGHT_BROW, LEFT_BROW))
    outer = landmarks[:, OUTER_LIPS.start : OUTER_LIPS.stop]
    inner = landmarks[:, INNER_LIPS.start : INNER_LIPS.stop]
    unit = (left.mean(dim=1) - right.mean(dim=1)).norm(dim=1)
    corners = outer[:, [0, 6]]
    actions = [
        _height(right[:, 1:3], right[:, 4:6]),
        _height(left[:, 1:3], left[:, 4:6]),
        _height(right_brow, right),
        _height(left_brow, left),
        (left_brow[:, 0] - right_brow[:, 4]).norm(dim=1),
        _height(inner[:, 1:4], inner[:, 5:8]),
        _height(outer[:, 2:5], outer[:, 8:11]),
        (corners[:, 1] - corners[:, 0]).norm(dim=1),
        _height(corners, outer),
    ]
    measured = torch.stack(actions, dim=1) / unit[:, None]
    return torch.cat([torch.ones_like(unit)[:, None], pose / 90, measured], dim=1)


def _height(upper: Tensor, lower: Tensor) -> Tensor:
    """How far some points (B, N, 2) lie above others (B, M, 2), in pixels: float (B,)."""
    return lower[..., 1].mean(dim=1) - upper[..., 1].mean(dim=1)


@cache
def _coefficients() -> Tensor:
    return load_file(WEIGHTS)["coefficients"]
