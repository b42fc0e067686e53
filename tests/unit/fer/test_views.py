"""Random views of training faces."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.fer.views import draw_views, seen_through, to_grey


@given(st.integers(0, 5), st.integers(0, 60), st.integers(1, 20), st.integers(1, 20), st.integers(1, 25))
def test_a_view_depends_on_seed_and_number_alone(seed, first, count, more, images):
    views, longer = draw_views(seed, first, count, images), draw_views(seed, first, count + more, images)
    later = draw_views(seed, first + count, more, images)
    np.testing.assert_array_equal(longer.rows, np.concatenate([views.rows, later.rows]))
    np.testing.assert_array_equal(longer.draws, np.concatenate([views.draws, later.draws]))


def test_every_epoch_shows_every_image_once_in_another_order():
    rows = draw_views(0, 0, 3 * 50, 50).rows.reshape(3, 50)
    assert all(sorted(epoch) == list(range(50)) for epoch in rows)
    assert len({tuple(epoch) for epoch in rows}) == 3
    assert not np.array_equal(rows[0], draw_views(1, 0, 50, 50).rows)


def test_draws_are_uniform():
    draws = draw_views(0, 0, 2000, 10).draws
    assert draws.shape == (2000, 11) and draws.dtype == np.float32
    assert draws.min() >= -1 and draws.max() < 1
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=4 / np.sqrt(3 * 2000))
    np.testing.assert_allclose(draws.var(axis=0), 1 / 3, rtol=0.1)


@pytest.fixture(scope="module")
def photograph():
    ramp = np.add.outer(np.arange(48) * 2, np.arange(48) * 3).astype(np.uint8)
    return cv2.circle(ramp, (15, 20), 7, 250, -1)


def test_strength_0_only_mirrors(photograph):
    grey = to_grey(np.stack([photograph] * 2))
    draws = torch.rand(2, 11) * 2 - 1
    draws[:, 0] = torch.tensor([-0.5, 0.5])
    seen = seen_through(grey, draws, strength=0.0)
    torch.testing.assert_close(seen[0], grey[0].flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[1], grey[1], atol=1e-5, rtol=0)


def test_pose_is_that_of_an_affine_map(photograph):
    draws = torch.zeros(1, 11)
    draws[0, 1:5] = torch.tensor([0.6, -0.5, 0.3, -0.8])
    seen = seen_through(to_grey(photograph[None]), draws, strength=1.0)[0, 0].numpy()
    # OpenCV's own map from a seen pixel to its place in the original, about the middle of 48 pixels.
    angle, size, shift = np.radians(15 * 0.6), np.exp(0.2 * -0.5), 0.14 * 24 * np.array([0.3, -0.8])
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = np.array([23.5, 23.5]) + shift - turn @ np.array([23.5, 23.5])
    original = photograph.astype(np.float32) / 127.5 - 1
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    matrix = np.column_stack([turn, offset])
    expected = cv2.warpAffine(original, matrix, (48, 48), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    # OpenCV rounds places to 1/32 pixel.
    assert np.abs(seen - expected).mean() < 0.005
    assert np.abs(original - expected).mean() > 0.05


def test_light_and_erased_squares():
    draws = torch.zeros(3, 11)
    draws[:, 0] = 1
    draws[1, 5:7] = torch.tensor([1.0, -1.0])
    draws[2, 7:] = torch.tensor([0.5, 1.0, 0.0, 0.0])
    draws[:2, 7] = -1
    plain, lit, erased = seen_through(torch.full((3, 1, 48, 48), 0.5), draws, strength=1.0)
    torch.testing.assert_close(plain, torch.full_like(plain, 0.5))
    torch.testing.assert_close(lit, torch.full_like(lit, 0.5 * np.exp(0.3) - 0.2))
    gone = (erased[0] == 0).nonzero()
    assert len(gone) in range(15**2, 17**2 + 1), "a third of the side"
    assert gone.float().mean().item() == pytest.approx(24, abs=0.6)
    assert (erased[erased != 0] == 0.5).all()
