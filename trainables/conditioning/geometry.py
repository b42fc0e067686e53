"""What the 68 iBUG landmarks draw: polylines, the face's hull, and their mirror images."""

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from veil.errors import DataError

if TYPE_CHECKING:
    from veil.interfaces import FaceBatch

POLYLINES = (
    # (first landmark, last landmark, closed)
    (0, 16, False),  # jaw
    (17, 21, False),  # right brow
    (22, 26, False),  # left brow
    (27, 30, False),  # nose bridge
    (31, 35, False),  # nostrils
    (36, 41, True),  # right eye
    (42, 47, True),  # left eye
    (48, 59, True),  # outer lips
    (60, 67, True),  # inner lips
)

MIRRORED = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
    *(64, 63, 62, 61, 60, 67, 66, 65),
)
"""MIRRORED[i] is the landmark that takes the place of landmark i when the face is mirrored."""

FOREHEAD = 0.5
"""Height of the forehead above the brows, as a share of the distance from brows to chin (the rule of facial thirds)."""

_SUBPIXEL_BITS = 4


def mirror_landmarks(landmarks: Tensor, width: int) -> Tensor:
    """Landmarks of the horizontally mirrored face.

    Args:
        landmarks: float (..., 68, 2), (x, y) in pixels.
        width: of the image in pixels.

    Returns:
        Float (..., 68, 2), again in iBUG order (the mirrored right eye is a left eye).
    """
    mirrored = landmarks[..., list(MIRRORED), :].clone()
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    return mirrored


def mirror_faces(faces: "FaceBatch") -> "FaceBatch":
    """The horizontally mirrored faces, landmarks included."""
    return faces._replace(
        images=faces.images.flip(-1), landmarks=mirror_landmarks(faces.landmarks, faces.images.shape[-1])
    )


def draw_polylines(faces: "FaceBatch") -> Tensor:
    """Draw the landmarks' polylines, antialiased, one pixel wide.

    Returns:
        Float (B, 1, H, W), -1 background to 1 line.

    Raises:
        DataError: a face has no landmarks.
    """
    canvases, points = _canvases(faces)
    for canvas, face in zip(canvases, _subpixel(points), strict=True):
        for first, last, closed in POLYLINES:
            cv2.polylines(canvas, [face[first : last + 1]], closed, 255, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return _to_signal(canvases, faces.images)


def face_mask(faces: "FaceBatch") -> Tensor:
    """Mark the face: the landmarks' convex hull, grown over the forehead.

    The 68 landmarks end at the brows; the brow line is repeated above them along the direction from chin to brows,
    so that a tilted head grows its forehead where it is.

    Returns:
        Float (B, 1, H, W), -1 outside to 1 inside.

    Raises:
        DataError: a face has no landmarks.
    """
    canvases, points = _canvases(faces)
    brows, chin = points[:, 17:27], points[:, 8:9]
    upwards = brows.mean(axis=1, keepdims=True) - chin
    forehead = brows + FOREHEAD * upwards
    # The temples rise less than the middle of the forehead: the shape of a head, not of a box.
    temples = points[:, [0, 16]] + 0.5 * FOREHEAD * upwards
    outlines = _subpixel(np.concatenate([points, forehead[:, 2:8], temples], axis=1))
    for canvas, outline in zip(canvases, outlines, strict=True):
        cv2.fillConvexPoly(canvas, cv2.convexHull(outline), 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return _to_signal(canvases, faces.images)


def _canvases(faces: "FaceBatch") -> tuple[np.ndarray, np.ndarray]:
    points = faces.landmarks.detach().cpu().numpy().astype(np.float64)
    missing = np.flatnonzero(~np.isfinite(points).all(axis=(1, 2)))
    if len(missing):
        raise DataError(
            f"{len(missing)} of {len(points)} faces have no landmarks (first: number {missing[0]} of the batch); "
            "leave them out, or choose a conditioning without landmarks"
        )
    batch, _, height, width = faces.images.shape
    return np.zeros((batch, height, width), np.uint8), points


def _subpixel(points: np.ndarray) -> np.ndarray:
    return np.round(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _to_signal(canvases: np.ndarray, images: Tensor) -> Tensor:
    signal = torch.from_numpy(canvases)[:, None].to(images.device, images.dtype)
    return signal.div_(127.5).sub_(1)
