"""Repeated trainings: closed forms of the plain cases, and coverage where people, trainings and both at once vary."""

import numpy as np
import pytest
from scipy import stats

from veil.metrics.intervals import rate_interval
from veil.metrics.repeated import Repeated, repeated_difference, repeated_interval


def repeated(scores_SN):
    """A mean over people in each training."""
    n = scores_SN.shape[1]
    return Repeated(scores_SN.mean(axis=1), (scores_SN.sum(axis=1, keepdims=True) - scores_SN) / (n - 1))


@pytest.fixture
def scores():
    return np.random.default_rng(0).uniform(0.2, 0.8, size=(2, 3, 10))


def test_trainings_that_do_not_vary_leave_students_t_over_people(scores):
    first, second = (repeated(np.repeat(group[:1], 3, axis=0)) for group in scores)
    single, other = (repeated(group[:1]) for group in scores)
    expected = stats.ttest_rel(scores[0, 0], scores[1, 0])
    for found in (repeated_difference(first, second, paired=True), repeated_difference(single, other, paired=False)):
        assert found.value == pytest.approx(scores[0, 0].mean() - scores[1, 0].mean())
        assert found[1:3] == pytest.approx(tuple(expected.confidence_interval()))
        assert found.p_value == pytest.approx(expected.pvalue)
    assert repeated_interval(first) == pytest.approx(rate_interval(first.mean, first.left_out[0]))


def test_people_who_do_not_vary_leave_students_t_over_trainings(scores):
    first, second = (repeated(np.repeat(group[:, :1], 10, axis=1)) for group in scores)
    paired = stats.ttest_rel(first.values, second.values)
    found = repeated_difference(first, second, paired=True)
    assert found[1:3] == pytest.approx(tuple(paired.confidence_interval()))
    welch = stats.ttest_ind(first.values, second.values, equal_var=False)
    found = repeated_difference(first, second, paired=False)
    assert found[1:3] == pytest.approx(tuple(welch.confidence_interval()))
    assert found.p_value == pytest.approx(welch.pvalue)


def test_a_single_training_is_taken_to_vary_as_the_others_do(scores):
    first, single = (repeated(np.repeat(group[:, :1], 10, axis=1)) for group in (scores[0], scores[1, :1]))
    half = stats.t.isf(0.025, 2) * first.values.std(ddof=1) * np.sqrt(1 + 1 / 3)
    for sign, found in (
        (1, repeated_difference(first, single, paired=False)),
        (-1, repeated_difference(single, first, paired=False)),
    ):
        assert found.value == pytest.approx(sign * (first.mean - single.mean))
        assert found.high - found.value == pytest.approx(half)


def test_nothing_varies(scores):
    same = repeated(scores[0])
    assert repeated_difference(same, same, paired=True) == (0.0, 0.0, 0.0, 1.0)
    silent = repeated(np.zeros((3, 10)))
    assert repeated_interval(silent) == pytest.approx(rate_interval(0.0, np.zeros(10)))


def test_groups_that_do_not_fit_are_refused(scores):
    first = repeated(scores[0])
    with pytest.raises(ValueError, match="equal size, found 3 and 2"):
        repeated_difference(first, repeated(scores[1, :2]), paired=True)
    with pytest.raises(ValueError, match="same people"):
        repeated_difference(first, repeated(scores[1, :, :9]), paired=True)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(
    ("people", "trainings", "both"), [(0.1, 0.0, 0.0), (0.0, 0.05, 0.05), (0.1, 0.02, 0.0), (0.1, 0.04, 0.1)]
)
def test_intervals_contain_the_truth(people, trainings, both, paired):
    rng = np.random.default_rng(1)
    truth, n_samples = 0.07, 800
    covered = 0
    for _ in range(n_samples):
        groups = [
            mean + effect * rng.normal(size=10) + trainings * rng.normal(size=(3, 1)) + both * rng.normal(size=(3, 10))
            for mean, effect in ((0.5 + truth, people), (0.5, 0.0))
        ]
        hard_for_both = rng.normal(size=10)
        found = repeated_difference(*(repeated(group + hard_for_both) for group in groups), paired=paired)
        covered += found.low <= truth <= found.high
    # With three trainings whose noise decides, Satterthwaite's intervals are known to be a little short.
    assert 0.91 <= covered / n_samples <= 0.99
