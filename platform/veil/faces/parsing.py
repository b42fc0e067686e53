"""What a face parser is, and how a parsing map follows the image it belongs to."""

from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from veil.faces.ibug import LEFT_EYE, RIGHT_EYE
from veil.interfaces import CROP_SIZE, FACE_PARTS

if TYPE_CHECKING:
    from torch import Tensor


CELEBAMASK_PARTS = {
    "background": "background",
    "skin": "skin",
    "l_brow": "left_brow",
    "r_brow": "right_brow",
    "l_eye": "left_eye",
    "r_eye": "right_eye",
    "eye_g": "accessories",
    "l_ear": "ears",
    "r_ear": "ears",
    "ear_r": "accessories",
    "nose": "nose",
    "mouth": "mouth",
    "u_lip": "upper_lip",
    "l_lip": "lower_lip",
    "neck": "neck",
    "neck_l": "accessories",
    "cloth": "clothes",
    "hair": "hair",
    "hat": "accessories",
}
"""The 19 classes of CelebAMask-HQ (glasses, earring, necklace and hat are accessories), in the order in which ports of
BiSeNet number them. On which side "l" and "r" lie is not to be relied upon; see `take_own_sides`.

Source: Lee et al., MaskGAN, CVPR 2020 (classes); zllrunning/face-parsing.PyTorch, prepropess_data.py (order).
"""


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


def take_own_sides(parsing: np.ndarray, landmarks68: np.ndarray) -> np.ndarray:
    """Name brows and eyes after the side of the face they lie on, whatever side they were said to be on.

    Datasets and nets disagree whether left is the person's or the viewer's, and nets trained on mirrored images whose
    labels were not exchanged, as the usual ports of BiSeNet were, do not know either.

    Args:
        parsing: uint8 (112, 112), numbers of FACE_PARTS.
        landmarks68: float (68, 2), crop pixels.

    Returns:
        uint8 (112, 112).
    """
    right, left = landmarks68[list(RIGHT_EYE)].mean(axis=0), landmarks68[list(LEFT_EYE)].mean(axis=0)
    y, x = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    on_left = (np.stack([x, y], axis=-1) - (right + left) / 2) @ (left - right) > 0
    return np.where(on_left, _LEFT_PARTS[parsing], MIRRORED_PARTS[_LEFT_PARTS[parsing]])


def _table(names: dict[str, str]) -> np.ndarray:
    table = np.arange(256, dtype=np.uint8)
    for name, other in names.items():
        table[FACE_PARTS.index(name)] = FACE_PARTS.index(other)
    return table


_TO_LEFT = {part: part.replace("right_", "left_") for part in FACE_PARTS if part.startswith("right_")}
_LEFT_PARTS = _table(_TO_LEFT)

MIRRORED_PARTS = _table(_TO_LEFT | {left: right for right, left in _TO_LEFT.items()})
"""uint8 (256,): the number that takes the place of each number of a parsing map when the face is mirrored."""
