"""Classical filters against OpenCV and by hand."""

import cv2
import numpy as np
import pytest
import torch
from real_faces import astronaut_faces

from trainables.anonymizers.classical import Blackout, Blur, Pixelate
from veil.errors import ConfigError, DataError
from veil.interfaces import FaceBatch


@pytest.fixture(scope="module")
def faces():
    return astronaut_faces(2)


@pytest.mark.parametrize("kernel", [3, 11, 31, 51, 111])
def test_blur_is_opencv_s(faces, kernel):
    blurred = Blur(kernel)(faces).permute(0, 2, 3, 1).numpy()
    for image, expected in zip(faces.images.permute(0, 2, 3, 1).numpy(), blurred, strict=True):
        reference = cv2.GaussianBlur(
            np.ascontiguousarray(image), (kernel, kernel), 0, borderType=cv2.BORDER_REFLECT_101
        )
        # For the smallest kernels OpenCV uses tabulated weights.
        np.testing.assert_allclose(reference, expected, atol=1e-4 if kernel > 9 else 0.05)


@pytest.mark.parametrize("block", [4, 8, 16])
def test_pixelate_is_the_mean_of_each_block(faces, block):
    mosaic = Pixelate(block)(faces)
    cells = 112 // block
    expected = faces.images.view(2, 3, cells, block, cells, block).mean((3, 5))
    torch.testing.assert_close(mosaic[:, :, ::block, ::block], expected)
    assert len(mosaic[0, 0].unique()) <= cells**2


def test_pixelate_with_a_cut_block_averages_what_is_there(faces):
    mosaic = Pixelate(50)(faces)
    torch.testing.assert_close(mosaic[:, :, 111, 111], faces.images[:, :, 100:, 100:].mean((2, 3)))
    torch.testing.assert_close(Pixelate(112)(faces)[:, :, 3, 7], faces.images.mean((2, 3)))


def test_blackout_leaves_nothing_or_nothing_of_the_face(faces):
    assert (Blackout()(faces) == -1).all()
    black = Blackout("face")(faces)
    other = FaceBatch(torch.where(black == -1, torch.zeros(()), faces.images), faces.landmarks)
    assert torch.equal(Blackout("face")(other)[black > -1], faces.images[black > -1])
    assert 0.3 < (black == -1).float().mean() < 0.9


def test_the_eyes_bar_is_the_rectangle_that_opencv_draws(faces):
    tilted = cv2.transform(faces.landmarks.numpy(), cv2.getRotationMatrix2D((56.0, 56.0), 20.0, 1.0))
    faces = faces._replace(landmarks=torch.from_numpy(tilted).float())
    for points, image, original in zip(tilted, Blackout("eyes")(faces), faces.images, strict=True):
        right, left = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
        distance, (x, y) = np.linalg.norm(left - right), left - right
        bar = ((left + right) / 2, (2.2 * distance, 0.7 * distance), np.degrees(np.arctan2(y, x)))
        corners = cv2.boxPoints(bar)
        drawn = torch.from_numpy(cv2.fillConvexPoly(np.zeros((112, 112)), corners.round().astype(np.int32), 1.0) > 0)
        black = (image == -1).all(dim=0)
        assert (black ^ drawn).float().mean() < 0.02 < black.float().mean()
        assert torch.equal(image[:, ~black], original[:, ~black])
    lost = faces._replace(landmarks=torch.full_like(faces.landmarks, float("nan")))
    with pytest.raises(DataError, match="2 of 2 faces have no"):
        Blackout("eyes")(lost)


@pytest.mark.parametrize(
    "wrong", [lambda: Blur(30), lambda: Blur(1), lambda: Blur(113), lambda: Pixelate(1), lambda: Blackout("all")]
)
def test_impossible_strengths_are_refused(wrong):
    with pytest.raises(ConfigError, match="expected"):
        wrong()
