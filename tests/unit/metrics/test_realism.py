"""SSIM and PSNR against scikit-image, KID and FID against torchmetrics and scipy, LPIPS against its definition."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from veil.metrics.bootstrap import draw_multiplicities, leave_one_out
from veil.metrics.realism import bootstrap_kid, fid, kid, lpips, psnr, ssim


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


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    identities = np.repeat(np.arange(6), 5)
    centres = rng.normal(size=(6, 8))
    references = centres[identities] + rng.normal(size=(30, 8))
    return references + 0.5 + rng.normal(size=(30, 8)), references, identities


def test_kid_is_torchmetrics(features):
    from torchmetrics.image.kid import poly_mmd

    x, y, _ = features
    assert kid(x, y) == pytest.approx(float(poly_mmd(torch.from_numpy(y), torch.from_numpy(x))))


def test_kid_is_zero_on_average_for_equal_distributions():
    rng = np.random.default_rng(1)
    values = [kid(rng.normal(size=(20, 4)), rng.normal(size=(20, 4))) for _ in range(400)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(400)
    assert min(values) < 0 < kid(rng.normal(size=(20, 4)), 2 + rng.normal(size=(20, 4)))


def test_kid_over_people_is_zero_on_average_for_pairs_and_without_change():
    """Images of a person are alike and an original resembles its anonymized version: no reason for a KID below 0."""
    rng = np.random.default_rng(4)
    identities = np.repeat(np.arange(6), 4)
    values, naive = [], []
    for _ in range(400):
        person = rng.normal(size=(6, 4))[identities]
        x, y = person + 0.5 * rng.normal(size=(2, 24, 4))
        values.append(kid(x, y, identities))
        naive.append(kid(x, y))
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(400)
    assert np.mean(naive) < -0.1
    assert kid(x, x, identities) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="2, found 1"):
        kid(x, x, np.zeros(24, int))


def test_bootstrap_kid_compares_all_images_of_different_drawn_people(features):
    x, y, identities = features

    def kernel(a, b):
        return (a @ b / 8 + 1) ** 3

    multiplicities = np.concatenate([leave_one_out(6), draw_multiplicities(6, 4, seed=0)])
    ours = bootstrap_kid(x, y, identities, multiplicities)
    for value, row in zip(ours, multiplicities, strict=True):
        images = np.repeat(np.arange(30), row[identities].astype(int))
        terms = [
            kernel(x[i], x[j]) + kernel(y[i], y[j]) - kernel(x[i], y[j]) - kernel(x[j], y[i])
            for i in images
            for j in images
            if identities[i] != identities[j]
        ]
        assert value == pytest.approx(np.mean(terms))
    left = identities != 2
    assert ours[2] == pytest.approx(kid(x[left], y[left], identities[left]))
    with pytest.raises(ValueError, match="one identity"):
        bootstrap_kid(x, y, identities[:-1], multiplicities)


def test_fid_is_the_closed_form_and_agrees_with_sqrtm():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6)), rng.normal(size=(300, 6)) + 1
    cov_x, cov_y = np.cov(x.T), np.cov(y.T)
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(cov_x + cov_y - 2 * np.real(sqrtm(cov_x @ cov_y)))
    assert fid(x, y, min_samples=300) == pytest.approx(expected)
    assert fid(x, x + 2, min_samples=300) == pytest.approx(6 * 4), "a shift costs its squared length"
    assert fid(x, 3 * x, min_samples=300) == pytest.approx(np.sum((2 * x.mean(0)) ** 2) + 4 * np.trace(cov_x)), (
        "of scaled features the covariances commute"
    )


def test_fid_is_torchmetrics():
    from torchmetrics.image.fid import _compute_fid

    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(200, 5)), rng.normal(size=(200, 5)) * 2
    moments = [torch.from_numpy(part) for side in (x, y) for part in (side.mean(0), np.cov(side.T))]
    assert fid(x, y, min_samples=200) == pytest.approx(float(_compute_fid(*moments)))


def test_fid_of_few_images_is_refused():
    with pytest.raises(ValueError, match="KID"):
        fid(np.zeros((100, 4)), np.zeros((5000, 4)))


def test_lpips_batches_the_net(images):
    def distance(a, b):
        assert len(a) <= 2
        return (a - b).pow(2).mean(dim=(1, 2, 3))

    image, reference = images
    expected = (image - reference).pow(2).flatten(1).mean(dim=1).numpy()
    np.testing.assert_allclose(lpips(image, reference, distance, batch_size=2), expected, rtol=1e-6)
    with pytest.raises(ValueError, match="shape"):
        lpips(image, reference[:1], distance)


@pytest.mark.parametrize("bad", [np.zeros((1, 4)), np.zeros((5, 3)), np.full((5, 4), np.nan)])
def test_features_that_cannot_be_compared_are_refused(bad):
    with pytest.raises(ValueError, match="features"):
        kid(bad, np.zeros((5, 4)))
