"""Random views: differentiable, per image, mild."""

import pytest
import torch
from real_faces import astronaut_faces

from trainables.gan.data import draw_samples, noise_images
from trainables.gan.views import random_views


@pytest.fixture(scope="module")
def views():
    images = astronaut_faces(6).images
    samples = draw_samples(0, 0, 6, 6)
    return images, torch.from_numpy(samples.draws), noise_images(samples.noise_seeds, 112, "cpu")


def test_no_strength_is_the_image_itself(views):
    images, draws, noise = views
    assert random_views(images, draws, noise, 0.0) is images


def test_one_by_one_equals_the_batch(views):
    images, draws, noise = views
    single = [random_views(images[i : i + 1], draws[i : i + 1], noise[i : i + 1], 1.0) for i in range(6)]
    torch.testing.assert_close(torch.cat(single), random_views(images, draws, noise, 1.0), rtol=0, atol=1e-5)


def test_changes_every_image_and_keeps_it_recognisable(views):
    images, draws, noise = views
    seen = random_views(images, draws, noise, 1.0)
    assert ((seen - images).abs().mean((1, 2, 3)) > 0.01).all()
    pairs = zip(seen.flatten(1), images.flatten(1), strict=True)
    assert all(torch.corrcoef(torch.stack(pair))[0, 1] > 0.6 for pair in pairs)


def test_gradient_reaches_the_pixels(views):
    images, draws, noise = views
    images = images.clone().requires_grad_(True)
    random_views(images, draws, noise, 1.0).square().mean().backward()
    assert torch.isfinite(images.grad).all()
    assert (images.grad.abs() > 0).float().mean() > 0.8


def test_the_middle_of_every_range_moves_nothing(views):
    images, _, noise = views
    still = torch.full((6, 8), 0.5)
    still[:, 4:7] = 0.0  # full resolution, least blur, no noise
    torch.testing.assert_close(random_views(images, still, noise, 1.0), images, rtol=0, atol=1e-4)
