"""Classical filters against OpenCV and by hand."""

import cv2
import numpy as np
import pytest
import torch
from real_faces import astronaut_faces

from trainables.anonymizers.classical import Blackout, Blur, Pixelate
from veil.errors import ConfigError
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


@pytest.mark.parametrize(
    "wrong", [lambda: Blur(30), lambda: Blur(1), lambda: Blur(113), lambda: Pixelate(1), lambda: Blackout("all")]
)
def test_impossible_strengths_are_refused(wrong):
    with pytest.raises(ConfigError, match="expected"):
        wrong()
