"""What a detector returns, how an image is framed for it, and which face of several is taken."""

from collections.abc import Sequence
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
    """Finds faces; what it finds in an image does not depend on the images beside it.

    Attributes:
        name: registered name.
        asset_sha256: of its weights.
        settings: everything else that changes what it finds.
    """

    name: str
    asset_sha256: str
    settings: dict[str, Any]

    def __call__(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Return all faces of each image; images are BGR uint8 (H, W, 3), of any sizes."""
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


def detect_faces(detector: Detector, images: Sequence[np.ndarray], framing: Framing) -> list[list[Detection]]:
    """Find faces in framed copies of images.

    Args:
        detector: finds them.
        images: uint8 (H, W, 3) each, BGR, of any sizes.
        framing: how an image is presented.

    Returns:
        For each image its faces in pixels of the image, largest first; of equal ones the surer first.
    """
    found = detector([_frame(image, framing) for image in images])
    return [
        sorted(_map_back(faces, image, framing), key=lambda face: (-float(face.box[2] * face.box[3]), -face.score))
        for image, faces in zip(images, found, strict=True)
    ]


def _framed_size(image: np.ndarray, framing: Framing) -> tuple[int, int]:
    height, width = image.shape[:2]
    scale = framing.scale(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _frame(image: np.ndarray, framing: Framing) -> np.ndarray:
    height, width = _framed_size(image, framing)
    if (height, width) != image.shape[:2]:
        interpolation = cv2.INTER_AREA if height < image.shape[0] or width < image.shape[1] else cv2.INTER_CUBIC
        image = cv2.resize(image, (width, height), interpolation=interpolation)
    border = framing.border
    return cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)


def _map_back(faces: list[Detection], image: np.ndarray, framing: Framing) -> list[Detection]:
    # Rounded sides scale the axes by slightly different factors; mapping back uses the true ones.
    height, width = _framed_size(image, framing)
    factors = np.array([image.shape[1] / width, image.shape[0] / height], np.float32)

    # Resizing aligns the edges of the images, not the centres of their corner pixels: hence the half pixels.
    def map_points(points: np.ndarray) -> np.ndarray:
        return np.asarray((points - framing.border + 0.5) * factors - 0.5, np.float32)

    return [
        Detection(
            face.score,
            np.concatenate([map_points(face.box[:2]), face.box[2:] * factors]).astype(np.float32),
            map_points(face.landmarks5),
        )
        for face in faces
    ]
