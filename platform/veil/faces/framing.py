"""How an image is presented to a detector: enlarged or reduced, bordered, and in tiles where it is large."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import cv2
import numpy as np


@dataclass(frozen=True)
class Framing:
    """How an image is presented to the detector.

    Detectors miss faces that are too small, too large, or cut by the edge of the image; photographs such as ORL's show
    nothing but a small face. Small images are therefore enlarged, large ones reduced, and all get a border. In images
    that are reduced a lot, faces vanish; these are searched again in overlapping tiles, at one or more larger scales.

    Attributes:
        min_side: smaller images are enlarged until their shorter side has this many pixels.
        max_side: larger images are reduced until their longer side has this many pixels; the longest side of a tile.
        border: replicated pixels on each side, after scaling.
        finest_scale: images that are reduced more than this are also searched in tiles, at this scale first.
        smallest_face: pixels, after scaling, of the smallest face that detectors find reliably.
        overlap: pixels that neighbouring tiles share at least, so that every smaller face lies whole in one of them;
            larger ones are found at the next scale, at which `overlap` has shrunk to `smallest_face`.
        nms_threshold: of two faces of different tiles or scales whose boxes have a larger intersection over union, the
            surer one is taken.
    """

    min_side: int = 230
    max_side: int = 640
    border: int = 40
    finest_scale: float = 0.5
    smallest_face: int = 20
    overlap: int = 160
    nms_threshold: float = 0.4

    def scale(self, height: int, width: int) -> float:
        """Factor by which the whole image is resized.

        >>> Framing().scale(112, 92), Framing().scale(400, 300), Framing().scale(1280, 960)
        (2.5, 1.0, 0.5)
        """
        return min(max(1.0, self.min_side / min(height, width)), self.max_side / max(height, width))

    def tiled_scales(self, height: int, width: int) -> list[float]:
        """Factors at which the image is searched in tiles, finest first.

        >>> Framing().tiled_scales(1280, 960), Framing().tiled_scales(3000, 4000), Framing().tiled_scales(5000, 20000)
        ([], [0.5], [0.5, 0.0625])
        """
        scales = []
        scale = self.finest_scale
        while scale > self.scale(height, width):
            scales.append(scale)
            scale *= self.smallest_face / self.overlap
        return scales


class View(NamedTuple):
    """What a detector sees of an image.

    Attributes:
        pixels: uint8 (h, w, 3), BGR.
        origin: float (2,), (x, y) of its first pixel in the resized image.
        factors: float (2,), pixels of the image per pixel of the resized one, along x and y.
        cut: bool (4,), whether the resized image goes on beyond the left, top, right, bottom edge.
    """

    pixels: np.ndarray
    origin: np.ndarray
    factors: np.ndarray
    cut: np.ndarray

    def shows_whole(self, box: np.ndarray) -> bool:
        """Whether a box, (x, y, width, height) in the view, touches no edge beyond which the image goes on."""
        height, width = self.pixels.shape[:2]
        beyond = [box[0] <= 0, box[1] <= 0, box[0] + box[2] >= width, box[1] + box[3] >= height]
        return not (self.cut & beyond).any()

    def map_back(self, points: np.ndarray) -> np.ndarray:
        """Map (…, 2) points from pixels of the view to float32 pixels of the image."""
        # Resizing aligns the edges of the images, not the centres of their corner pixels: hence the half pixels.
        return ((points + self.origin + 0.5) * self.factors - 0.5).astype(np.float32)


def make_views(image: np.ndarray, framing: Framing) -> list[View]:
    """All views of a BGR uint8 (H, W, 3) image: the whole first, then tiles if it is large."""
    height, width = image.shape[:2]
    views = list(_cut(image, framing.scale(height, width), framing))
    for scale in framing.tiled_scales(height, width):
        views += _cut(image, scale, framing)
    return views


def _cut(image: np.ndarray, scale: float, framing: Framing) -> Iterator[View]:
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    # Rounded sides scale the axes by slightly different factors; mapping back uses the true ones.
    factors = np.array([image.shape[1] / width, image.shape[0] / height])
    if (height, width) != image.shape[:2]:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    border = framing.border
    framed = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)
    for (top, bottom), (left, right) in product(_spans(height, framing), _spans(width, framing)):
        yield View(
            framed[top : bottom + 2 * border, left : right + 2 * border],
            np.array([left - border, top - border]),
            factors,
            np.array([left > 0, top > 0, right < width, bottom < height]),
        )


def _spans(length: int, framing: Framing) -> list[tuple[int, int]]:
    """Starts and ends of overlapping spans, as few as cover a length evenly."""
    size = min(length, framing.max_side)
    count = max(1, -(-(length - framing.overlap) // (framing.max_side - framing.overlap)))
    return [(round(start), round(start) + size) for start in np.linspace(0, length - size, count)]
