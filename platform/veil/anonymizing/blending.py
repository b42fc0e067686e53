"""Putting anonymized crops back into the image they were cut from, and blacking out what could not be anonymized."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from veil.interfaces import CROP_SIZE

_CENTRE = (CROP_SIZE - 1) / 2
_EXPONENT = 4.0
_FEATHER = 0.2
"""The region of a face is a square with round corners that fills the crop; in its outer fifth, the anonymized face
fades out. What a crop shows was judged as a whole, so that as much of it as possible is taken."""
_CORNERS = np.array(
    [[-0.5, -0.5], [-0.5, CROP_SIZE - 0.5], [CROP_SIZE - 0.5, CROP_SIZE - 0.5], [CROP_SIZE - 0.5, -0.5]]
)

_ENLARGE = 0.3
"""By which a face's box grows on each side where it is blacked out: hair, ears and chin lie outside it."""


class Box(NamedTuple):
    """Upright rectangle in whole pixels of an image.

    Attributes:
        left: first column.
        top: first row.
        right: column after the last.
        bottom: row after the last.
    """

    left: int
    top: int
    right: int
    bottom: int

    def holds(self, x: float, y: float) -> bool:
        """Whether a point lies in it."""
        return self.left <= x < self.right and self.top <= y < self.bottom

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of its pixels."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def crop_box(matrix: np.ndarray, size: tuple[int, int]) -> Box:
    """The smallest box around what a crop shows of an image.

    Args:
        matrix: float (2, 3), from pixels of the image to pixels of the crop.
        size: height and width of the image.
    """
    inverse = cv2.invertAffineTransform(np.asarray(matrix, np.float64))
    places = _CORNERS @ inverse[:, :2].T + inverse[:, 2]
    (left, top), (right, bottom) = places.min(axis=0), places.max(axis=0)
    return _clip(left, top, right, bottom, size)


def blackout_box(face: np.ndarray, matrix: np.ndarray | None, size: tuple[int, int]) -> Box:
    """What is blacked out of a face: its box, enlarged, and all that its crop shows, if it has one.

    Args:
        face: float (4,), x, y, width and height of its box.
        matrix: float (2, 3), its alignment to the crop.
        size: height and width of the image.
    """
    x, y, width, height = map(float, face)
    box = _clip(
        x - _ENLARGE * width, y - _ENLARGE * height, x + (1 + _ENLARGE) * width, y + (1 + _ENLARGE) * height, size
    )
    if matrix is None:
        return box
    crop = crop_box(matrix, size)
    return Box(*np.minimum(box, crop)[:2].tolist(), *np.maximum(box, crop)[2:].tolist())


def _clip(left: float, top: float, right: float, bottom: float, size: tuple[int, int]) -> Box:
    xs = np.clip([np.floor(left), np.ceil(right) + 1], 0, size[1]).astype(int)
    ys = np.clip([np.floor(top), np.ceil(bottom) + 1], 0, size[0]).astype(int)
    return Box(int(xs[0]), int(ys[0]), int(xs[1]), int(ys[1]))


def black_out(image: np.ndarray, box: Box) -> None:
    """Blacken a box of a uint8 (H, W, 3) image, in place."""
    image[box.slices] = 0


def eccentricity(matrix: np.ndarray, box: Box) -> np.ndarray:
    """How far from the middle of a face each pixel lies: 0 in the middle, 1 where its region ends.

    Args:
        matrix: float (2, 3), from pixels of the image to pixels of the crop.
        box: of the image.

    Returns:
        float32 (height, width) of the box.
    """
    y, x = np.mgrid[box.slices].astype(np.float32)
    along, down = (row[0] * x + row[1] * y + row[2] for row in np.asarray(matrix, np.float32))
    return ((np.abs(along - _CENTRE) ** _EXPONENT + np.abs(down - _CENTRE) ** _EXPONENT) ** (1 / _EXPONENT)) / _CENTRE


def blend(image: np.ndarray, crops: Sequence[np.ndarray], matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Lay anonymized crops over the faces they were cut from, with soft edges.

    Where the regions of two faces overlap, each pixel belongs to the face whose middle is nearer: the crop of a face
    may show its neighbour as the original does.

    Args:
        image: uint8 (H, W, 3), BGR.
        crops: uint8 (3, 112, 112) each, RGB.
        matrices: float (2, 3) each, from pixels of the image to pixels of the crop.

    Returns:
        A new image; pixels outside the regions of the faces are those of `image`.
    """
    size = (image.shape[0], image.shape[1])
    boxes = [crop_box(matrix, size) for matrix in matrices]
    distances = [eccentricity(matrix, box) for matrix, box in zip(matrices, boxes, strict=True)]
    nearest = np.ones(size, np.float32)
    for box, distance in zip(boxes, distances, strict=True):
        np.minimum(nearest[box.slices], distance, out=nearest[box.slices])
    blended = image.copy()
    for crop, matrix, box, distance in zip(crops, matrices, boxes, distances, strict=True):
        weight = np.clip((1 - distance) / _FEATHER, 0, 1) * (distance == nearest[box.slices])
        smooth = (weight * weight * (3 - 2 * weight))[..., None]
        under = blended[box.slices]
        under[:] = np.rint(under + smooth * (_warp_back(crop, matrix, box) - under))
    return blended


def _warp_back(crop: np.ndarray, matrix: np.ndarray, box: Box) -> np.ndarray:
    """Float32 (height, width, 3) of the box, BGR; what the crop does not show repeats its last pixels."""
    pixels = np.asarray(cv2.cvtColor(np.ascontiguousarray(crop.transpose(1, 2, 0)), cv2.COLOR_RGB2BGR), np.float32)
    reduction = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if reduction > 1.1:
        # The crop shows the face larger than the image does: what the image cannot show must not alias.
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), (reduction - 1) / 2), np.float32)
    shifted = np.asarray(matrix, np.float64) @ np.array([[1, 0, box.left], [0, 1, box.top], [0, 0, 1]])
    return cv2.warpAffine(
        pixels,
        shifted,
        (box.right - box.left, box.bottom - box.top),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
