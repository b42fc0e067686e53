"""Pose of the head: what is put in comes out, in the words of the module, and nonsense gets no pose."""

import numpy as np
import pytest
import torch
from orl_crops import orl_crops, require_assets

from trainables.conditioning.geometry import mirror_landmarks
from veil.faces.landmarks import load_landmarker
from veil.faces.pose import HEAD, estimate_pose


def turn(axis: str, degrees: float) -> np.ndarray:
    """Rotation about the axis to the right of the picture, down, or away from the camera, right-handed."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return {
        "right": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "down": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "away": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


def head_as(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation that nods, then turns, then leans a head as the words say; nose and crown are checked below."""
    return turn("away", roll) @ turn("down", -yaw) @ turn("right", -pitch)


def photograph(rotation: np.ndarray, distance_cm: float = 110.0, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Landmarks (68, 2) of the generic head before a pinhole camera; those it does not have lie in the middle."""
    landmarks = np.full((68, 2), 55.5)
    for number, place in HEAD.items():
        x, y, z = rotation @ place + [*shift, distance_cm]
        landmarks[number] = 560 * x / z + 55.5, 560 * y / z + 55.5
    return landmarks


def test_signs_are_those_of_the_words() -> None:
    nose, crown = np.array([0, 0, -1]), np.array([0, -1, 0])
    assert (head_as(20, 0, 0) @ nose)[0] > 0.3, "the nose points to the right of the picture"
    assert (head_as(0, 20, 0) @ nose)[1] < -0.3, "the nose points up"
    assert (head_as(0, 0, 20) @ crown)[0] > 0.3, "the crown leans to the right"


@pytest.mark.parametrize("yaw", [-50, -20, 0, 35])
@pytest.mark.parametrize("pitch", [-35, 0, 25])
@pytest.mark.parametrize("roll", [-40, 0, 15])
def test_known_poses_are_recovered(yaw: float, pitch: float, roll: float) -> None:
    landmarks = photograph(head_as(yaw, pitch, roll), shift=(1.5, -1.0))
    found = estimate_pose(landmarks)
    assert found.failure == ""
    np.testing.assert_allclose(found.degrees, [yaw, pitch, roll], atol=0.05)
    # From twice as far away and twice as large: the camera is not known, and must not matter much.
    farther = photograph(head_as(yaw, pitch, roll), distance_cm=220.0)
    np.testing.assert_allclose(estimate_pose((farther - 55.5) * 2 + 55.5).degrees, [yaw, pitch, roll], atol=4)


def test_noise_of_a_pixel_costs_a_few_degrees() -> None:
    rng = np.random.default_rng(0)
    clean = photograph(head_as(20, -10, 5))
    found = [estimate_pose(clean + rng.normal(scale=1.0, size=clean.shape)).degrees for _ in range(50)]
    errors = np.array(found) - [20, -10, 5]
    assert np.abs(errors.mean(axis=0)).max() < 2
    assert errors.std(axis=0).max() < 5


def test_mirroring_and_turning_the_picture() -> None:
    rng = np.random.default_rng(1)
    landmarks = photograph(head_as(25, 10, -8)) + rng.normal(scale=1.0, size=(68, 2))
    yaw, pitch, roll = estimate_pose(landmarks).degrees
    mirrored = mirror_landmarks(torch.from_numpy(landmarks), 112).numpy()
    np.testing.assert_allclose(estimate_pose(mirrored).degrees, [-yaw, pitch, -roll], atol=1e-3)
    turned = (landmarks - 55.5) @ turn("away", 30)[:2, :2].T + 55.5
    np.testing.assert_allclose(estimate_pose(turned).degrees, [yaw, pitch, roll + 30], atol=1e-3)


def broken(kind: str) -> np.ndarray:
    landmarks = photograph(head_as(0, 0, 0))
    match kind:
        case "not finite":
            landmarks[8] = np.nan
        case "one point":
            landmarks[:] = 40.0
        case "from behind":  # left and right exchanged
            landmarks[:, 0] = 111 - landmarks[:, 0]
        case "shuffled":
            landmarks[list(HEAD)] = np.random.default_rng(0).permutation(landmarks[list(HEAD)])
        case "profile":
            landmarks = photograph(head_as(84, 0, 0))
        case "from above":
            landmarks = photograph(head_as(0, -84, 0))
    return landmarks


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("not finite", "there are no 68 landmarks"),
        ("one point", "determine no pose"),
        ("from behind", "turned too far away"),
        ("shuffled", "do not look like a head"),
        ("profile", "turned too far away"),
        ("from above", "turned too far away"),
    ],
)
def test_what_is_no_head_gets_a_reason_and_no_pose(kind: str, reason: str) -> None:
    degrees, failure = estimate_pose(broken(kind))
    assert degrees is None
    assert reason in failure


@pytest.mark.data
def test_true_faces() -> None:
    require_assets("face_api_landmark_68_bin", "face_api_landmark_68_manifest")
    images = orl_crops(8, 4)[0]
    landmarker = load_landmarker()
    with torch.no_grad():
        plain, mirrored = (
            np.array([estimate_pose(points).degrees for points in landmarker(faces).numpy()])
            for faces in (images, images.flip(-1))
        )
    assert np.abs(plain[:, 2]).max() < 12, "alignment leaves little of a roll"
    assert np.abs(np.median(plain, axis=0)).max() < 12
    assert plain[:, 0].std() > 4, "people of ORL look left and right"
    # The landmark net looks at the mirrored picture anew, and is not symmetric itself.
    assert np.corrcoef(plain[:, 0], -mirrored[:, 0])[0, 1] > 0.9
    assert np.corrcoef(plain[:, 2], -mirrored[:, 2])[0, 1] > 0.7
    assert np.median(np.abs(plain[:, 1] - mirrored[:, 1])) < 4
