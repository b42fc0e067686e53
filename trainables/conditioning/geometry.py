"""What the 68 iBUG landmarks draw: polylines, dots, the face's hull and regions; and the mirror images of faces."""

from collections.abc import Iterable

import cv2
import numpy as np
import torch
from torch import Tensor

from trainables.conditioning.needs import require
from veil.faces.ibug import face_outline
from veil.faces.parsing import MIRRORED_PARTS
from veil.interfaces import CROP_SIZE, FaceBatch

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

MIRRORED_POSE = (-1.0, 1.0, -1.0)
"""Yaw, pitch and roll of a head are multiplied by these when the face is mirrored; see `veil.faces.pose`."""

_MIRRORED_PARTS = torch.from_numpy(MIRRORED_PARTS)

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


def mirror_faces(faces: FaceBatch) -> FaceBatch:
    """The horizontally mirrored faces with all their signals; right and left remain the person's own."""
    parsing, pose = faces.parsing, faces.pose
    return FaceBatch(
        images=faces.images.flip(-1),
        landmarks=mirror_landmarks(faces.landmarks, faces.images.shape[-1]),
        parsing=None if parsing is None else _MIRRORED_PARTS.to(parsing.device)[parsing.flip(-1).long()],
        pose=None if pose is None else pose * pose.new_tensor(MIRRORED_POSE),
    )


def draw_polylines(faces: FaceBatch) -> Tensor:
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


def face_mask(faces: FaceBatch) -> Tensor:
    """Mark the face: the landmarks' convex hull, grown over the forehead.

    Returns:
        Float (B, 1, H, W), -1 outside to 1 inside.

    Raises:
        DataError: a face has no landmarks.
    """
    canvases, points = _canvases(faces)
    for canvas, outline in zip(canvases, _subpixel(face_outline(points)), strict=True):
        cv2.fillConvexPoly(canvas, cv2.convexHull(outline), 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return _to_signal(canvases, faces.images)


def region_mask(faces: FaceBatch, parts: Iterable[range], margin: int) -> Tensor:
    """Mark regions around parts of the face: the convex hull of each part's landmarks, grown.

    Args:
        faces: B faces.
        parts: landmarks of each part, for example `veil.faces.ibug.RIGHT_EYE`.
        margin: pixels by which each hull is grown on all sides.

    Returns:
        Bool (B, 1, H, W), whether a pixel is inside; never in between.

    Raises:
        DataError: a face has no landmarks.
    """
    canvases, points = _canvases(faces)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    parts = tuple(parts)
    for index, face in enumerate(_subpixel(points)):
        for part in parts:
            hull = cv2.convexHull(face[part.start : part.stop])
            cv2.fillConvexPoly(canvases[index], hull, 255, cv2.LINE_8, _SUBPIXEL_BITS)
        canvases[index] = cv2.dilate(canvases[index], disc)
    return torch.from_numpy(canvases > 0)[:, None].to(faces.images.device)


def draw_dots(points: Tensor, sigma: float) -> Tensor:
    """Draw Gaussian dots; where they overlap, the greater counts.

    Args:
        points: float (B, P, 2), (x, y) in crop pixels, P ≥ 1.
        sigma: standard deviation of a dot in pixels.

    Returns:
        Float (B, 1, 112, 112), -1 background to 1 in the middle of a dot.
    """
    pixels = torch.arange(CROP_SIZE, device=points.device, dtype=points.dtype)
    # A round Gaussian is the product of two flat ones: (B, P, 2, 112).
    flat = torch.exp(-((pixels - points[..., None]) ** 2) / (2 * sigma**2))
    x, y = flat[:, :, 0, None, :], flat[:, :, 1, :, None]
    return (x * y).amax(dim=1, keepdim=True) * 2 - 1


def _canvases(faces: FaceBatch) -> tuple[np.ndarray, np.ndarray]:
    points = require(faces, "landmarks68").detach().cpu().numpy().astype(np.float64)
    batch, _, height, width = faces.images.shape
    return np.zeros((batch, height, width), np.uint8), points


def _subpixel(points: np.ndarray) -> np.ndarray:
    return np.round(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _to_signal(canvases: np.ndarray, images: Tensor) -> Tensor:
    signal = torch.from_numpy(canvases)[:, None].to(images.device, images.dtype)
    return signal.div_(127.5).sub_(1)
