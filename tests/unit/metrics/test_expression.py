"""Divergences against scipy and closed forms."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from veil.metrics.expression import class_collapse, js_divergence, kl_divergence, top1_agreement


@pytest.fixture
def posteriors():
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.full(7, 0.4), size=50), rng.dirichlet(np.full(7, 0.4), size=50)


def test_js_is_the_squared_scipy_distance(posteriors):
    p, q = posteriors
    np.testing.assert_allclose(js_divergence(p, q), jensenshannon(p, q, axis=1, base=2) ** 2, atol=1e-12)


def test_js_is_symmetric_bounded_and_zero_only_for_equals(posteriors):
    p, q = posteriors
    np.testing.assert_allclose(js_divergence(p, q), js_divergence(q, p))
    np.testing.assert_allclose(js_divergence(p, p), 0.0, atol=1e-12)
    one_hot = np.eye(7)
    np.testing.assert_allclose(js_divergence(one_hot, np.roll(one_hot, 1, axis=1)), 1.0)


def test_kl_is_scipy_entropy_and_stays_finite(posteriors):
    p, q = posteriors
    p, q = p * 0.99 + 0.01 / 7, q * 0.99 + 0.01 / 7  # away from the floor of the probabilities
    np.testing.assert_allclose(kl_divergence(p, q), entropy(p, q, axis=1), rtol=1e-6)
    assert kl_divergence(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))[0] == pytest.approx(np.log(1e8))


def test_agreement(posteriors):
    p, q = posteriors
    assert top1_agreement(p, p) == 1.0
    assert top1_agreement(p, q) == np.mean(np.argmax(p, 1) == np.argmax(q, 1))


def test_one_class_for_everything_is_flagged(posteriors):
    p, _ = posteriors
    happy = np.tile(np.eye(7)[3] * 0.94 + 0.01 * (1 - np.eye(7)[3]), (50, 1))
    assert class_collapse(p, happy) == (1.0, True)
    assert not class_collapse(p, p).collapsed
    assert not class_collapse(happy, happy).collapsed, "originals of one expression are no collapse"


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (np.full((2, 3), 1 / 3), np.full((3, 3), 1 / 3)),
        (np.full((2, 3), 0.5), np.full((2, 3), 1 / 3)),
        (np.full((2, 3), np.nan), np.full((2, 3), 1 / 3)),
        (np.empty((0, 3)), np.empty((0, 3))),
    ],
)
def test_what_is_not_a_distribution_is_refused(p, q):
    with pytest.raises(ValueError, match=r"distributions|shape"):
        js_divergence(p, q)
