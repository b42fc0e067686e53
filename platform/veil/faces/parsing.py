"""What a face parser is, and how a parsing map follows the image it belongs to."""

from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from veil.interfaces import CROP_SIZE, FACE_PARTS

if TYPE_CHECKING:
    from torch import Tensor


class Parser(Protocol):
    """Says which part of the face each pixel of a crop shows.

    Attributes:
        name: registered name.
        asset_sha256: of its weights; empty if it has none.
        failure: why a face gets no map, for the reader of a table.
    """

    name: str
    asset_sha256: str
    failure: str

    def __call__(self, images: "Tensor", landmarks68: "Tensor") -> "Tensor":
        """Parse crops.

        Args:
            images: float (B, 3, 112, 112), RGB in [-1, 1].
            landmarks68: float (B, 68, 2), crop pixels; NaN where a face has none.

        Returns:
            uint8 (B, 112, 112) on the device of `images`, numbers of FACE_PARTS; NO_PART throughout a face that cannot
            be parsed.
        """
        ...


def warp_parsing(parsing: np.ndarray, matrix: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Cut the map of the aligned face out of the map of a whole image; beyond its edge is background.

    Args:
        parsing: uint8 (H, W), numbers of FACE_PARTS, at any resolution.
        matrix: float (2, 3), from pixels of the image to pixels of the crop, as in `veil.faces.align`.
        image_size: height and width of the image that `matrix` refers to.

    Returns:
        uint8 (112, 112); every pixel has the number of the nearest pixel of the map.
    """
    # Map and image share their edges, not the centres of their corner pixels: hence the half pixels.
    height, width = parsing.shape
    factors = np.array([image_size[1] / width, image_size[0] / height])
    to_image = np.column_stack([np.diag(factors), 0.5 * factors - 0.5])
    to_crop = matrix @ np.vstack([to_image, [0, 0, 1]])
    return cv2.warpAffine(
        parsing,
        to_crop,
        (CROP_SIZE, CROP_SIZE),
        flags=cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=FACE_PARTS.index("background"),
    )


def _mirror_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint8)
    for number, part in enumerate(FACE_PARTS):
        if part.startswith("right_"):
            other = FACE_PARTS.index(part.replace("right_", "left_"))
            table[[number, other]] = other, number
    return table


MIRRORED_PARTS = _mirror_table()
"""uint8 (256,): the number that takes the place of each number of a parsing map when the face is mirrored."""
