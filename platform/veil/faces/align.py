"""Alignment of a face to the five-point template on which ArcFace-type recognizers are trained."""

import cv2
import numpy as np

from veil.interfaces import CROP_SIZE

ARCFACE_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""(5, 2): (x, y) in a 112×112 crop of eye, eye, nose tip, mouth corner, mouth corner; left of the image first.

Source: Deng et al., ArcFace, CVPR 2019, reference implementation.
"""


def estimate_similarity(landmarks5: np.ndarray) -> np.ndarray | None:
    """Least-squares similarity (rotation, one scale, translation) from an image to the crop.

    Source: Umeyama, Least-squares estimation of transformation parameters between two point patterns, PAMI 1991.

    Args:
        landmarks5: float (5, 2), pixels of the image.

    Returns:
        float64 (2, 3), to be applied to (x, y, 1); None if the points determine no similarity: they coincide, or are
        not finite.
    """
    if not np.isfinite(landmarks5).all():
        return None
    # Imported here: every reader of a table needs the template, only preparation needs scikit-image.
    from skimage.transform import SimilarityTransform

    transform = SimilarityTransform.from_estimate(np.asarray(landmarks5, np.float64), ARCFACE_TEMPLATE)
    return np.asarray(transform.params[:2]) if transform else None


def apply_similarity(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map float (N, 2) points by a (2, 3) matrix; returns float32 (N, 2)."""
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def align_face(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Cut out the aligned face; beyond the edge of the image its last pixels are repeated.

    Args:
        image: uint8 (H, W, 3), BGR.
        matrix: float (2, 3), from `estimate_similarity`.

    Returns:
        uint8 (3, 112, 112), RGB.
    """
    crop = cv2.warpAffine(
        image, matrix, (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.ascontiguousarray(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB).transpose(2, 0, 1))
