"""Cutting a face out of an anonymized version of a photograph where it lies in the original."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from veil.errors import DataError
from veil.faces.align import align_face
from veil.faces.images import UnreadableImageError, decode_image

ASPECT_TOLERANCE = 0.02
"""Relative difference of aspect ratios above which two photographs do not show the same frame."""


class Frame(NamedTuple):
    """Part of a photograph, in its pixels from edge to edge: the whole of it is (0, 0, width, height).

    Attributes:
        left: of the left edge.
        top: of the upper edge.
        right: of the right edge.
        bottom: of the lower edge.
    """

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """In pixels of the photograph."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """In pixels of the photograph."""
        return self.bottom - self.top


def cut_published(
    published: Path, original: Path, size: tuple[int, int], matrix: np.ndarray, frame: Frame | None = None
) -> NDArray[np.uint8]:
    """Cut the face out of an anonymized photograph, of any size, where it lies in the clear one.

    An image larger than its original is made smaller first, so that the crop is made of all its pixels. What lies
    beyond the edge of the image repeats its last pixels.

    Args:
        published: the anonymized file.
        original: the clear file, for messages.
        size: width and height of the clear photograph.
        matrix: float (2, 3), alignment of the clear photograph to the crop.
        frame: what of the clear photograph the anonymized file shows; None is all of it.

    Returns:
        uint8 (3, 112, 112), RGB.

    Raises:
        DataError: the file is no image, or does not show the same frame.
    """
    try:
        pixels = decode_image(published.read_bytes())
    except (OSError, UnreadableImageError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{published} cannot be read as an image ({reason})") from error
    height, width = pixels.shape[:2]
    if frame is None and abs(size[0] * height / (size[1] * width) - 1) > ASPECT_TOLERANCE:
        raise DataError(
            f"{published} has {width}×{height} pixels, its original {original} {size[0]}×{size[1]}: another aspect "
            "ratio, so that the faces do not lie in the same place; anonymize without cropping or rotating"
        )
    frame = frame or Frame(0, 0, *size)
    smaller = min(width, max(round(frame.width), 1)), min(height, max(round(frame.height), 1))
    pixels = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
    return align_face(pixels, transfer_alignment(matrix, frame, smaller))


def transfer_alignment(matrix: np.ndarray, frame: Frame, size: tuple[int, int]) -> NDArray[np.float64]:
    """Alignment of a picture of some part of a photograph, at any size.

    Args:
        matrix: float (2, 3), applies to pixels (x, y, 1) of the photograph.
        frame: what the picture shows.
        size: width and height of the picture.

    Returns:
        (2, 3), applies to pixels of the picture.
    """
    horizontal, vertical = frame.width / size[0], frame.height / size[1]
    # Resizing aligns the edges of images, not the centres of their corner pixels: hence the half pixels.
    rescale = np.array(
        [
            [horizontal, 0.0, frame.left + (horizontal - 1) / 2],
            [0.0, vertical, frame.top + (vertical - 1) / 2],
            [0.0, 0.0, 1.0],
        ]
    )
    return np.asarray(matrix @ rescale, np.float64)
