"""Pose of the head: a rigid, generic head is turned until it covers the landmarks.

The angles are those of the head as the crop shows it, in degrees; 0, 0, 0 looks straight out of the picture. As one
sees it in the picture:

- yaw > 0: the nose points to the right (the person has turned to their own left);
- pitch > 0: the nose points up;
- roll > 0: the head leans to the right, clockwise, like the hand of a clock from 12 to 1.

The head is first nodded, then turned, then leaned, about axes that stay with the picture. Turning the picture in its
plane therefore adds to roll and changes nothing else; mirroring it changes the signs of yaw and roll. Crops are aligned
by eyes, nose and mouth, which leaves little of a roll; pitch is up to a few degrees that depend on the generic head.
"""

from typing import NamedTuple

import cv2
import numpy as np

from veil.interfaces import CROP_SIZE

METHOD = "solvepnp-68"

MAX_ERROR = 8.0
"""Root mean square distance, in pixels, between landmarks and generic head above which the two do not fit; the 400
faces of ORL, whose heads turn up to 21° aside, stay below 4.2."""

MAX_TURN_DEGREES = 75.0
"""Yaw or pitch beyond which too much of the face is hidden for landmarks to mean anything."""

# Right and left landmark, and the place of the left one.
_SIDES = {
    (17, 26): (6.825897, -6.760612, -4.402142),  # outer end of the brow
    (21, 22): (1.330353, -7.122144, -6.903745),  # inner end
    (36, 45): (5.311432, -5.485328, -3.987654),  # outer corner of the eye
    (39, 42): (1.789930, -5.393625, -4.413414),  # inner corner
    (31, 35): (2.005628, -1.409845, -6.165652),  # wing of the nose
    (48, 54): (2.774015, 2.080775, -5.048531),  # corner of the mouth
}
HEAD = (
    {8: (0.0, 7.415691, -4.070434)}  # chin
    | {right: (-x, y, z) for (right, _), (x, y, z) in _SIDES.items()}
    | {left: place for (_, left), place in _SIDES.items()}
)
"""Where landmarks lie on the generic head, in centimetres to the right of the picture, down, and away from the camera.
The lips, which move, and the jaw, whose outline is another from every side, are left out.

Source: Martins & Batista, Accurate Single View Model-Based Head Pose Estimation, FG 2008 (anthropometric model).
"""

_PLACES, _POINTS = list(HEAD), np.array(list(HEAD.values()))

# No crop tells its camera. A head fills a crop seen with this focal length from a good metre away, as in a portrait.
_FOCAL_LENGTH = 5.0 * CROP_SIZE
_CAMERA = np.array(
    [[_FOCAL_LENGTH, 0, (CROP_SIZE - 1) / 2], [0, _FOCAL_LENGTH, (CROP_SIZE - 1) / 2], [0, 0, 1]], np.float64
)


class HeadPose(NamedTuple):
    """What is known of a head's pose.

    Attributes:
        degrees: float32 (3,), yaw, pitch, roll; None if it could not be computed.
        failure: why not; empty if it could.
    """

    degrees: np.ndarray | None
    failure: str = ""


def estimate_pose(landmarks68: np.ndarray) -> HeadPose:
    """Pose of one head.

    Source: Terzakis & Lourakis, A Consistently Fast and Globally Optimal Solution to the Perspective-n-Point Problem,
    ECCV 2020, refined by Levenberg-Marquardt.

    Args:
        landmarks68: float (68, 2), crop pixels.
    """
    # Imported here: whoever reads the module's names for a table needs no SciPy.
    from scipy.spatial.transform import Rotation

    points = np.asarray(landmarks68, np.float64)[_PLACES]
    if not np.isfinite(points).all():
        return HeadPose(None, "there are no 68 landmarks to compute it from")
    try:
        found, rotation, translation = cv2.solvePnP(_POINTS, points, _CAMERA, None, flags=cv2.SOLVEPNP_SQPNP)
        if found:
            rotation, translation = cv2.solvePnPRefineLM(_POINTS, points, _CAMERA, None, rotation, translation)
    except cv2.error:  # raised for points that coincide
        found = False
    if not found or not np.isfinite([rotation, translation]).all() or translation[2] <= 0:
        return HeadPose(None, "the landmarks determine no pose")
    covered = cv2.projectPoints(_POINTS, rotation, translation, _CAMERA, None)[0][:, 0]
    about_x, about_y, about_z = Rotation.from_rotvec(rotation.ravel()).as_euler("xyz", degrees=True)
    if np.sqrt(((covered - points) ** 2).sum(axis=1).mean()) > MAX_ERROR:
        return HeadPose(None, "the landmarks do not look like a head")
    if max(abs(about_x), abs(about_y)) > MAX_TURN_DEGREES:
        return HeadPose(None, "the head is turned too far away")
    return HeadPose(np.array([-about_y, -about_x, about_z], np.float32))
