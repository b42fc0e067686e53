"""Heatmaps, parsing maps and poses as a generator sees them."""

import numpy as np
import pytest
import torch
from real_faces import astronaut_faces
from scipy.ndimage import gaussian_filter

from trainables.conditioning import build_conditioning
from trainables.conditioning.geometry import POLYLINES
from trainables.conditioning.heatmaps import SIGMA
from veil.errors import DataError
from veil.interfaces import FACE_PARTS


@pytest.fixture(scope="module")
def faces():
    return astronaut_faces(3)


def test_heatmaps_are_blurred_dots(faces):
    landmarks = faces.landmarks.round()
    signal = (build_conditioning("heatmaps")(faces._replace(landmarks=landmarks)) + 1) / 2
    for part, (first, last, _) in zip(signal[0].numpy(), POLYLINES, strict=True):
        expected = np.zeros((112, 112))
        for x, y in landmarks[0, first : last + 1].int().tolist():
            dot = np.zeros((140, 140))  # with room, for the chin may lie below the crop
            dot[y + 14, x + 14] = 1
            blurred = gaussian_filter(dot, SIGMA, truncate=8)
            expected = np.maximum(expected, (blurred / blurred.max())[14:126, 14:126])
        np.testing.assert_allclose(part, expected, atol=2e-3)  # SciPy's kernel is cut off and normalised


def test_heatmaps_follow_a_landmark_by_less_than_a_pixel_and_in_its_part_alone(faces):
    heatmaps = build_conditioning("heatmaps")
    moved = faces.landmarks.clone()
    moved[:, 38] += torch.tensor([0.3, -0.2])
    change = (heatmaps(faces._replace(landmarks=moved)) - heatmaps(faces)).abs().amax(dim=(0, 2, 3))
    assert (change > 0.05).nonzero().flatten().tolist() == [5], "the right eye"


def test_parsing_is_one_channel_a_part(faces):
    signal = build_conditioning("parsing")(faces)
    assert torch.equal(signal.argmax(dim=1), faces.parsing.long())
    assert torch.equal(signal.sum(dim=1), torch.full((3, 112, 112), 2.0 - len(FACE_PARTS)))


def test_pose_is_the_share_of_a_right_angle(faces):
    posed = faces._replace(pose=torch.tensor([[45.0, -9.0, 0.0], [-90.0, 90.0, 18.0], [0.0, 0.0, 120.0]]))
    signal = build_conditioning("pose")(posed)
    torch.testing.assert_close(signal[:, :, 50, 3], torch.tensor([[0.5, -0.1, 0.0], [-1.0, 1.0, 0.2], [0.0, 0.0, 1.0]]))
    assert (signal.flatten(2).std(dim=2) == 0).all(), "the same everywhere"


def test_a_signal_that_nobody_measured_is_an_error(faces):
    for name in ("parsing", "pose"):
        with pytest.raises(DataError, match="3 of 3 faces have no"):
            build_conditioning(f"masked+{name}")(faces._replace(**{name: None}))
    assert build_conditioning("masked+parsing+pose").needs == {"landmarks68", "parsing", "pose"}
