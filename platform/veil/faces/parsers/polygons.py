"""Face parsing from the 68 landmarks alone: a polygon for each part."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

from veil.faces.ibug import INNER_LIPS, LEFT_BROW, LEFT_EYE, NOSTRILS, RIGHT_BROW, RIGHT_EYE, face_outline
from veil.interfaces import CROP_SIZE, FACE_PARTS, NO_PART
from veil.registry import parsers

if TYPE_CHECKING:
    from torch import Tensor

_BROW_THICKNESS = 0.25
"""Of the distance from brow to eye: the landmarks run along the upper edge of the brow."""

_OUTLINES = {
    "right_eye": RIGHT_EYE,
    "left_eye": LEFT_EYE,
    "nose": (27, *NOSTRILS),
    "mouth": INNER_LIPS,
    "upper_lip": (*range(48, 55), *range(64, 59, -1)),
    "lower_lip": (*range(54, 60), 48, 60, *range(67, 63, -1)),
}
"""Landmarks around each part, in the order of drawing."""

_ZOOM = 5
"""Drawn so many times larger: OpenCV paints the whole edge of a polygon, which would thicken a lip by a pixel."""


@parsers.register("polygons")
class Polygons:
    """Skin (forehead included), brows, eyes, nose, lips and the opening of the mouth; all else is background."""

    name = "polygons"
    asset_sha256 = ""
    failure = "there are no 68 landmarks to draw it from"

    def __call__(self, images: "Tensor", landmarks68: "Tensor") -> "Tensor":
        """Return uint8 (B, 112, 112), see `veil.faces.parsing.Parser`."""
        import torch

        points = landmarks68.detach().cpu().numpy().astype(np.float64)
        maps = np.full((len(points), CROP_SIZE, CROP_SIZE), NO_PART, np.uint8)
        for index in np.flatnonzero(np.isfinite(points).all(axis=(1, 2))):
            maps[index] = _draw(points[index])
        return torch.from_numpy(maps).to(images.device)


def _draw(landmarks: np.ndarray) -> np.ndarray:
    # The middle of pixel i of the crop is pixel _ZOOM * i + _ZOOM // 2 of the canvas.
    middle = _ZOOM // 2
    points = landmarks * _ZOOM + middle
    canvas = np.zeros((CROP_SIZE * _ZOOM, CROP_SIZE * _ZOOM), np.uint8)
    outline = np.round(face_outline(points[None])[0]).astype(np.int32)
    cv2.fillConvexPoly(canvas, cv2.convexHull(outline), FACE_PARTS.index("skin"))
    for part, brow, eye in (("right_brow", RIGHT_BROW, RIGHT_EYE), ("left_brow", LEFT_BROW, LEFT_EYE)):
        upper = points[list(brow)]
        lower = upper + _BROW_THICKNESS * (points[list(eye)].mean(axis=0) - upper.mean(axis=0))
        _fill(canvas, np.concatenate([upper, lower[::-1]]), part)
    for part, around in _OUTLINES.items():
        _fill(canvas, points[list(around)], part)
    return canvas[middle::_ZOOM, middle::_ZOOM]


def _fill(canvas: np.ndarray, polygon: np.ndarray, part: str) -> None:
    cv2.fillPoly(canvas, [np.round(polygon).astype(np.int32)], FACE_PARTS.index(part))
