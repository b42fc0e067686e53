"""What a detector returns, how an image is framed for it, and which face of several is taken."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np


class Detection(NamedTuple):
    """One face, in pixels of the image it was found in.

    Attributes:
        score: in [0, 1].
        box: float32 (4,), x, y, width, height.
        landmarks5: float32 (5, 2), (x, y) of the eye, eye, nose tip, mouth corner, mouth corner; of each pair, the one
            on the left of the image first.
    """

    score: float
    box: np.ndarray
    landmarks5: np.ndarray


class Detector(Protocol):
    """Finds faces.

    Attributes:
        name: registered name.
        asset_sha256: of its weights.
        settings: everything else that changes what it finds.
    """

    name: str
    asset_sha256: str
    settings: dict[str, Any]

    def __call__(self, image: np.ndarray) -> list[Detection]:
        """Return all faces of a BGR uint8 (H, W, 3) image."""
        ...


@dataclass(frozen=True)
class Framing:
    """How an image is presented to the detector.

    Detectors miss faces that are too small, too large, or cut by the edge of the image; photographs such as ORL's show
    nothing but a small face. Small images are therefore enlarged, large ones reduced, and all get a border.

    Attributes:
        min_side: smaller images are enlarged until their shorter side has this many pixels.
        max_side: larger images are reduced until their longer side has this many pixels.
        border: replicated pixels on each side, after scaling.
    """

    min_side: int = 230
    max_side: int = 640
    border: int = 40

    def scale(self, height: int, width: int) -> float:
        """Factor by which an image is resized.

        >>> Framing().scale(112, 92), Framing().scale(400, 300), Framing().scale(1280, 960)
        (2.5, 1.0, 0.5)
        """
        return min(max(1.0, self.min_side / min(height, width)), self.max_side / max(height, width))


def detect_faces(detector: Detector, image: np.ndarray, framing: Framing) -> list[Detection]:
    """Find faces in a framed copy of an image.

    Args:
        detector: finds them.
        image: uint8 (H, W, 3), BGR.
        framing: how the image is presented.

    Returns:
        Faces in pixels of `image`, largest first; of equal ones the surer first.
    """
    height, width = image.shape[:2]
    scale = framing.scale(height, width)
    # Rounded sides scale the axes by slightly different factors; mapping back uses the true ones.
    framed_width, framed_height = max(1, round(width * scale)), max(1, round(height * scale))
    framed = image
    if (framed_height, framed_width) != (height, width):
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        framed = cv2.resize(image, (framed_width, framed_height), interpolation=interpolation)
    border = framing.border
    framed = cv2.copyMakeBorder(framed, border, border, border, border, cv2.BORDER_REPLICATE)
    factors = np.array([width / framed_width, height / framed_height], np.float32)
    faces = [
        Detection(
            face.score,
            np.concatenate([_map_back(face.box[:2], border, factors), face.box[2:] * factors]).astype(np.float32),
            _map_back(face.landmarks5, border, factors).astype(np.float32),
        )
        for face in detector(framed)
    ]
    return sorted(faces, key=lambda face: (-float(face.box[2] * face.box[3]), -face.score))


def _map_back(points: np.ndarray, border: int, factors: np.ndarray) -> np.ndarray:
    # Resizing aligns the edges of the images, not the centres of their corner pixels: hence the half pixels.
    return np.asarray((points - border + 0.5) * factors - 0.5)
