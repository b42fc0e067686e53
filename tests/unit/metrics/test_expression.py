"""Divergences against scipy and closed forms."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, f1_score, log_loss

from veil.metrics.expression import (
    accuracy,
    class_collapse,
    cross_entropy,
    expected_calibration_error,
    js_divergence,
    kl_divergence,
    macro_f1,
    retention_ratio,
    top1_agreement,
)


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


@pytest.fixture
def labels():
    return np.random.default_rng(1).integers(0, 7, size=50)


def test_cross_entropy_is_sklearns_log_loss(posteriors, labels):
    p = posteriors[0] * 0.99 + 0.01 / 7
    assert cross_entropy(p, labels) == pytest.approx(log_loss(labels, p, labels=np.arange(7)))
    assert cross_entropy(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(np.log(1e8))


@pytest.mark.parametrize("kept", [range(7), (0, 2, 5)])
def test_accuracy_and_macro_f1_are_sklearns(posteriors, labels, kept):
    """Also where some classes are absent from labels, decisions, or both."""
    p = posteriors[0] * np.isin(np.arange(7), kept) + 1e-9
    p /= p.sum(axis=1, keepdims=True)
    labels = np.minimum(labels, 5)
    decisions = p.argmax(axis=1)
    assert accuracy(p, labels) == pytest.approx(accuracy_score(labels, decisions))
    assert macro_f1(p, labels) == pytest.approx(f1_score(labels, decisions, average="macro", zero_division=0))


def test_calibration_error_is_torchmetrics(posteriors, labels):
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    expected = multiclass_calibration_error(
        torch.from_numpy(posteriors[0]), torch.from_numpy(labels), num_classes=7, n_bins=15, norm="l1"
    )
    assert expected_calibration_error(posteriors[0], labels) == pytest.approx(float(expected), abs=1e-6)


def test_calibrated_posteriors_have_a_small_error():
    rng = np.random.default_rng(2)
    p = rng.dirichlet(np.ones(3), size=20_000)
    drawn = (rng.random((20_000, 1)) < p.cumsum(axis=1)).argmax(axis=1)
    assert expected_calibration_error(p, drawn) < 0.02
    assert expected_calibration_error(np.eye(3)[drawn], drawn) == 0.0


def test_retention_is_a_share_and_needs_something_to_lose():
    assert retention_ratio(0.45, 0.9) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="above 0"):
        retention_ratio(0.1, 0.0)


@pytest.mark.parametrize("labels", [np.zeros(49, int), np.full(50, 7), np.full(50, -1), np.full(50, 0.5)])
def test_what_is_not_a_label_is_refused(posteriors, labels):
    with pytest.raises(ValueError, match="labels"):
        accuracy(posteriors[0], labels)
