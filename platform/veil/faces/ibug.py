"""The iBUG-68 scheme: which landmark is what, and the outline of the face.

Source: Sagonas et al., 300 Faces in-the-Wild Challenge, ICCVW 2013. Right and left are the person's own.
"""

import numpy as np

JAW = range(17)
RIGHT_BROW, LEFT_BROW = range(17, 22), range(22, 27)
BRIDGE, NOSTRILS = range(27, 31), range(31, 36)
RIGHT_EYE, LEFT_EYE = range(36, 42), range(42, 48)
OUTER_LIPS, INNER_LIPS = range(48, 60), range(60, 68)

FOREHEAD = 0.5
"""Height of the forehead above the brows, as a share of the distance from brows to chin (the rule of facial thirds)."""


def face_outline(landmarks: np.ndarray) -> np.ndarray:
    """Points whose convex hull is the face, forehead included.

    The 68 landmarks end at the brows; the brow line is repeated above them along the direction from chin to brows,
    so that a tilted head grows its forehead where it is.

    Args:
        landmarks: float (B, 68, 2).

    Returns:
        float (B, 76, 2): the landmarks, then those of the forehead.
    """
    brows, chin = landmarks[:, 17:27], landmarks[:, 8:9]
    upwards = brows.mean(axis=1, keepdims=True) - chin
    forehead = brows + FOREHEAD * upwards
    # The temples rise less than the middle of the forehead: the shape of a head, not of a box.
    temples = landmarks[:, [0, 16]] + 0.5 * FOREHEAD * upwards
    return np.concatenate([landmarks, forehead[:, 2:8], temples], axis=1)
