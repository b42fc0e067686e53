"""Verification metrics against scikit-learn, closed forms and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import det_curve, roc_auc_score, roc_curve

from veil.metrics.verification import (
    acceptance_at_far,
    auc,
    det,
    eer,
    roc,
    tar_at_far,
    tar_at_threshold,
    threshold_at_far,
)

# A coarse grid makes ties the rule rather than the exception.
tied_scores = st.lists(st.integers(0, 6).map(lambda value: value / 4), min_size=1, max_size=40)
rates = st.floats(0, 1)


def labelled(genuine, impostor):
    return np.r_[np.ones(len(genuine)), np.zeros(len(impostor))], np.r_[genuine, impostor]


@given(tied_scores, tied_scores, rates)
@settings(max_examples=200, deadline=None)
def test_tar_at_far_is_the_interpolated_roc_of_sklearn(genuine, impostor, far):
    reference_far, reference_tar, _ = roc_curve(*labelled(genuine, impostor), drop_intermediate=False)
    assert tar_at_far(genuine, impostor, far) == pytest.approx(np.interp(far, reference_far, reference_tar), abs=1e-12)


@given(tied_scores, tied_scores, rates)
@settings(max_examples=200, deadline=None)
def test_pairs_are_accepted_best_first_and_as_often_as_the_tar_says(genuine, impostor, far):
    accepted = acceptance_at_far(genuine, impostor, far)
    assert accepted.mean() == pytest.approx(tar_at_far(genuine, impostor, far), abs=1e-12)
    assert (np.diff(accepted[np.argsort(genuine, kind="stable")]) >= 0).all()


@given(tied_scores, tied_scores)
@settings(max_examples=100, deadline=None)
def test_roc_points_and_auc_equal_sklearn(genuine, impostor):
    reference_far, reference_tar, thresholds = roc_curve(*labelled(genuine, impostor), drop_intermediate=False)
    ours = roc(genuine, impostor)
    np.testing.assert_allclose(ours.far, reference_far)
    np.testing.assert_allclose(ours.tar, reference_tar)
    np.testing.assert_array_equal(ours.thresholds, thresholds)
    assert auc(genuine, impostor) == pytest.approx(roc_auc_score(*labelled(genuine, impostor)))


@given(tied_scores, tied_scores)
@settings(max_examples=100, deadline=None)
def test_auc_is_the_mann_whitney_statistic(genuine, impostor):
    difference = np.subtract.outer(genuine, impostor)
    assert auc(genuine, impostor) == pytest.approx(np.mean((difference > 0) + (difference == 0) / 2))


@pytest.mark.parametrize("far", [0.001, 0.01, 0.37, 1.0])
def test_constant_score_gives_tar_equal_to_far(far):
    assert tar_at_far(np.full(45, 0.3), np.full(4500, 0.3), far) == pytest.approx(far)
    assert eer(np.full(45, 0.3), np.full(4500, 0.3)) == pytest.approx(0.5)


@given(tied_scores, tied_scores, rates)
@settings(max_examples=100, deadline=None)
def test_tar_at_far_ignores_monotone_maps_of_the_score(genuine, impostor, far):
    mapped = tar_at_far(np.exp(genuine) * 3 - 7, np.exp(impostor) * 3 - 7, far)
    assert mapped == pytest.approx(tar_at_far(genuine, impostor, far))


def test_gaussian_scores_meet_the_closed_form():
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    shift = 2.5
    genuine, impostor = rng.normal(shift, 1, 200_000), rng.normal(0, 1, 200_000)
    assert tar_at_far(genuine, impostor, 0.01) == pytest.approx(norm.sf(norm.isf(0.01) - shift), abs=0.01)
    assert eer(genuine, impostor) == pytest.approx(norm.sf(shift / 2), abs=0.003)
    assert auc(genuine, impostor) == pytest.approx(norm.cdf(shift / np.sqrt(2)), abs=0.002)


@given(tied_scores, tied_scores)
@settings(max_examples=100, deadline=None)
def test_eer_lies_on_the_curve(genuine, impostor):
    rate = eer(genuine, impostor)
    curve = roc(genuine, impostor)
    low, high = np.interp(rate - 1e-9, curve.far, curve.tar), np.interp(rate + 1e-9, curve.far, curve.tar)
    assert low - 1e-6 <= 1 - rate <= high + 1e-6


@given(tied_scores, rates)
@settings(max_examples=200, deadline=None)
def test_threshold_is_the_lowest_that_keeps_the_far(impostor, far):
    threshold = threshold_at_far(impostor, far)
    impostor = np.array(impostor)
    assert np.mean(impostor > threshold) <= far + 1e-9
    lower = impostor[impostor < threshold]
    if lower.size:
        assert np.mean(impostor > lower.max()) > far


def test_deployed_threshold_is_blind_to_the_kind_of_image():
    # A constant image scores 0.9 with everybody: at a clear-image threshold it looks like a perfect match.
    assert tar_at_threshold(np.full(10, 0.9), threshold_at_far(np.linspace(0, 0.5, 100), 0.01)) == 1.0


@pytest.mark.parametrize("bad", [[], [np.nan], [np.inf]])
def test_empty_or_non_finite_scores_are_refused(bad):
    with pytest.raises(ValueError, match="genuine scores"):
        tar_at_far(bad, [0.1], 0.01)
    with pytest.raises(ValueError, match="impostor scores"):
        roc([0.1], bad)


def test_far_out_of_range_is_refused():
    with pytest.raises(ValueError, match="far"):
        tar_at_far([1.0], [0.0], 1.5)
    with pytest.raises(ValueError, match="far"):
        threshold_at_far([0.0], -0.1)


@given(tied_scores, tied_scores)
@settings(max_examples=100, deadline=None)
def test_det_passes_through_the_points_of_sklearn(genuine, impostor):
    far, frr, thresholds = det_curve(*labelled(genuine, impostor))
    ours = det(genuine, impostor)
    at = {threshold: (ours.far[i], ours.frr[i]) for i, threshold in enumerate(ours.thresholds)}
    for point in zip(far, frr, thresholds, strict=True):
        np.testing.assert_allclose(at[point[2]], point[:2], atol=1e-12)
    assert (ours.far[0], ours.frr[0]) == (0, 1)
    assert (ours.far[-1], ours.frr[-1]) == (1, 0)
