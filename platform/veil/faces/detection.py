"""What a detector returns, and its use on images of any size."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from veil.faces.framing import Framing, View, make_views


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


def detect_faces(detector: Detector, images: Sequence[np.ndarray], framing: Framing) -> list[list[Detection]]:
    """Find faces in framed views of images.

    Args:
        detector: finds them.
        images: uint8 (H, W, 3) each, BGR, of any sizes.
        framing: how an image is presented.

    Returns:
        For each image its faces in pixels of the image, largest first; of equal ones the surer first.
    """
    views = [make_views(image, framing) for image in images]
    found = iter(detector([view.pixels for of_image in views for view in of_image]))
    return [_merge([(view, next(found)) for view in of_image], framing) for of_image in views]


def _merge(found: list[tuple[View, list[Detection]]], framing: Framing) -> list[Detection]:
    faces = [_map_back(face, view) for view, faces in found for face in faces if view.shows_whole(face.box)]
    if len(found) > 1:
        boxes, scores = [face.box.tolist() for face in faces], [face.score for face in faces]
        faces = [faces[index] for index in cv2.dnn.NMSBoxes(boxes, scores, 0.0, framing.nms_threshold)]
    return sorted(faces, key=lambda face: (-float(face.box[2] * face.box[3]), -face.score))


def _map_back(face: Detection, view: View) -> Detection:
    box = np.concatenate([view.map_back(face.box[:2]), face.box[2:] * view.factors]).astype(np.float32)
    return Detection(face.score, box, view.map_back(face.landmarks5))
