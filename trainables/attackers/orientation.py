"""How anonymized faces were turned, mirrored or made negative, read off pairs of clear and anonymized images."""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]

_PAIRS_SEEN = 256


class Orientation(NamedTuple):
    """An element of the symmetry group of the square, and whether the image is a negative.

    Attributes:
        quarters: quarter turns, 0 to 3.
        mirrored: whether left and right are swapped, after turning.
        negative: whether byte v becomes 255 - v.
    """

    quarters: int = 0
    mirrored: bool = False
    negative: bool = False

    def apply(self, images: Images) -> Images:
        """Turn, mirror and invert uint8 images (N, 3, S, S)."""
        turned = np.rot90(images, self.quarters, axes=(2, 3))
        if self.mirrored:
            turned = turned[..., ::-1]
        return np.ascontiguousarray(255 - turned if self.negative else turned)


def find_orientation(anonymized: Images, clear: Images) -> Orientation:
    """What to apply to anonymized images so that their pixels correlate best with those of the clear ones.

    Convolutions change values where they are: no fine-tuning on a few images turns a face upright, but one look does.

    Args:
        anonymized: uint8 (N, 3, S, S).
        clear: uint8 (N, 3, S, S), the same faces.

    Returns:
        the orientation of the largest mean correlation (Pearson's, over the pixels of an image); none at all where
        images without content correlate with nothing.
    """
    few = slice(None, None, len(clear) // _PAIRS_SEEN + 1)
    anonymized, reference = anonymized[few], _standardised(clear[few])
    best, strongest = Orientation(), 0.0
    for quarters, mirrored in product(range(4), (False, True)):
        turned = Orientation(quarters, mirrored).apply(anonymized)
        correlation = float((_standardised(turned) * reference).sum(axis=1).mean())
        # Rounding must not make a difference between orientations that are equally good.
        if abs(correlation) > strongest + 1e-6:
            best, strongest = Orientation(quarters, mirrored, correlation < 0), abs(correlation)
    return best


def _standardised(images: Images) -> NDArray[np.float32]:
    """Rows (N, P) of mean 0 and length 1; an image without contrast stays 0."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-3)
