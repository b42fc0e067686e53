"""SSIM and PSNR against scikit-image."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from veil.metrics.realism import psnr, ssim


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(3, 3, 8, 8, generator=generator), size=64, mode="bilinear")
    reference = smooth * 2 - 1
    return (reference + 0.1 * torch.randn(reference.shape, generator=generator)).clamp(-1, 1), reference


def test_ssim_agrees_with_scikit_image(images):
    ours = ssim(*images, batch_size=2)
    for value, image, reference in zip(ours, *images, strict=True):
        expected = structural_similarity(
            (image.numpy() + 1) / 2,
            (reference.numpy() + 1) / 2,
            channel_axis=0,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert value == pytest.approx(expected, abs=1e-4)


def test_psnr_agrees_with_scikit_image(images):
    image, reference = images
    expected = peak_signal_noise_ratio(reference.numpy(), image.numpy(), data_range=2.0)
    assert psnr(image, reference) == pytest.approx(expected, rel=1e-4)


def test_equal_images_are_perfect(images):
    _, reference = images
    np.testing.assert_allclose(ssim(reference, reference), 1.0, atol=1e-6)
    assert psnr(reference, reference) is None


def test_shapes_must_agree(images):
    with pytest.raises(ValueError, match="shape"):
        ssim(images[0], images[1][:1])
