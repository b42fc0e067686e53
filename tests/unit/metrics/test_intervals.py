"""Intervals and corrections against scipy, closed forms and published examples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from veil.metrics.bootstrap import bootstrap_mean, draw_multiplicities, leave_one_out
from veil.metrics.intervals import (
    holm,
    jackknife_interval,
    minimum_far,
    paired_difference,
    percentile_interval,
    rate_interval,
    rule_of_three,
)

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def left_out_means(people):
    return bootstrap_mean(people, np.arange(people.size), leave_one_out(people.size))


def test_expanded_percentiles_are_hesterbergs():
    # Hesterberg (2015), table 4: for n = 10 and 95 %, the one-sided tail of 2.5 % becomes 0.9 %; for n = 40, 2.0 %.
    replicates = np.linspace(0, 1, 100_001)
    assert percentile_interval(replicates, 10)[0] == pytest.approx(0.0085, abs=5e-4)
    assert percentile_interval(replicates, 40)[0] == pytest.approx(0.0203, abs=5e-4)
    assert percentile_interval(replicates, 10**6) == pytest.approx(percentile_interval(replicates), abs=1e-4)


def test_expanded_interval_of_a_mean_is_students():
    """For a mean of normal people the correction must give the width of the t interval."""
    people = np.random.default_rng(0).normal(size=12)
    replicates = bootstrap_mean(people, np.arange(12), draw_multiplicities(12, 20_000, 0))
    low, high = percentile_interval(replicates, 12)
    expected = 2 * stats.t.isf(0.025, 11) * people.std(ddof=1) / np.sqrt(12)
    assert high - low == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("n", [1, 5, 10, 400])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_rule_of_three_is_the_exact_binomial_bound(n, level):
    exact = stats.binomtest(0, n).proportion_ci(confidence_level=2 * level - 1, method="exact").high
    assert rule_of_three(n, level) == pytest.approx(exact)


def test_rule_of_three_is_about_three_over_n():
    assert rule_of_three(3000) == pytest.approx(3 / 3000, rel=2e-3)
    with pytest.raises(ValueError, match="1 unit"):
        rule_of_three(0)


@given(st.integers(3, 200), st.data())
def test_rate_interval_of_zeros_and_ones_is_wilsons(n, data):
    """For independent zeros and ones the jackknife variance is p (1 - p) / (n - 1)."""
    hits = data.draw(st.integers(1, n - 1))
    people = np.r_[np.ones(hits), np.zeros(n - hits)]
    rate = hits / n
    z = stats.t.isf(0.025, n - 1) * np.sqrt(n / (n - 1))
    # Wilson's ends solve (p - rate)^2 = z^2 p (1 - p) / n.
    expected = np.sort(np.roots([1 + z**2 / n, -2 * rate - z**2 / n, rate**2]).real)
    np.testing.assert_allclose(rate_interval(rate, left_out_means(people)), expected, atol=1e-7)


def test_rate_interval_meets_scipys_wilson_for_many_people():
    people = np.r_[np.ones(300), np.zeros(2700)]
    expected = stats.binomtest(300, 3000).proportion_ci(method="wilson")
    np.testing.assert_allclose(rate_interval(0.1, left_out_means(people)), expected, atol=1e-4)


@given(st.lists(st.integers(0, 100).map(lambda value: value / 100), min_size=3, max_size=20))
def test_rate_interval_is_inside_the_range_and_contains_the_value(people):
    people = np.array(people)
    value = float(np.clip(people.mean(), 0, 1))
    low, high = rate_interval(value, left_out_means(people))
    assert 0 <= low <= value <= high <= 1
    mirrored = rate_interval(1 - value, 1 - left_out_means(people))
    np.testing.assert_allclose([1 - mirrored[1], 1 - mirrored[0]], [low, high], atol=1e-7)


def test_no_hit_reaches_the_rule_of_three_and_a_constant_has_no_width():
    assert rate_interval(0.0, np.zeros(10)) == (0.0, rule_of_three(10))
    assert rate_interval(1.0, np.ones(10)) == (1.0 - rule_of_three(10), 1.0)
    assert rate_interval(0.01, np.full(10, 0.01)) == pytest.approx((0.01, 0.01))
    # A value of 0 that hangs on one person who sets the threshold is less certain than that.
    assert rate_interval(0.0, np.r_[0.5, np.zeros(9)])[1] > rule_of_three(10)


def test_jackknife_interval_of_a_mean_is_students():
    people = np.random.default_rng(1).normal(3, 2, size=9)
    expected = stats.ttest_1samp(people, 0).confidence_interval(0.9)
    np.testing.assert_allclose(jackknife_interval(people.mean(), left_out_means(people), 0.9), expected)


def test_paired_difference_of_means_is_the_paired_t_test():
    rng = np.random.default_rng(2)
    first = rng.random(10)
    second = first + rng.normal(0.1, 0.1, size=10)
    reference = stats.ttest_rel(first, second)
    found = paired_difference(first.mean(), left_out_means(first), second.mean(), left_out_means(second))
    assert found.p_value == pytest.approx(reference.pvalue)
    np.testing.assert_allclose((found.low, found.high), reference.confidence_interval())
    alone = [jackknife_interval(side.mean(), left_out_means(side)) for side in (first, second)]
    assert found.high - found.low < 0.6 * sum(high - low for low, high in alone), "pairing must narrow"


def test_a_difference_shared_by_all_is_tested_by_signs():
    ones, chance = np.ones(10), np.full(10, 0.01)
    found = paired_difference(1.0, ones, 0.01, chance)
    assert found.p_value == pytest.approx(stats.binomtest(10, 10).pvalue)
    assert (found.low, found.high) == pytest.approx((0.99 - rule_of_three(10), 0.99))
    mirrored = paired_difference(0.01, chance, 1.0, ones)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))
    assert paired_difference(0.3, chance, 0.3, chance) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("left_out", [np.zeros(2), np.array([0.1, np.nan, 0.2, 0.3])])
@pytest.mark.parametrize("interval", [rate_interval, jackknife_interval])
def test_too_few_people_are_refused(interval, left_out):
    with pytest.raises(ValueError, match="people"):
        interval(0.1, left_out)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="rate"):
        rate_interval(1.2, np.zeros(5))
    with pytest.raises(ValueError, match="same people"):
        paired_difference(0.1, np.zeros(5), 0.1, np.zeros(6))
    with pytest.raises(ValueError, match="2 people"):
        percentile_interval(np.zeros(9), 1)
    with pytest.raises(ValueError, match="p-values"):
        holm([0.1, 1.2])


def test_holm_gives_the_published_example():
    # R: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm").
    # By hand: 4 x 0.0093 = 0.0372 exceeds 3 x 0.0121 and 2 x 0.0142.
    np.testing.assert_allclose(holm([0.01, 0.02, 0.03, 0.04, 0.05]), [0.05, 0.08, 0.09, 0.09, 0.09])
    np.testing.assert_allclose(holm([0.0121, 0.0142, 0.1986, 0.0093]), [0.0372, 0.0372, 0.1986, 0.0372])


@given(p_values, st.floats(0.001, 0.5))
def test_holm_rejects_step_by_step(p, level):
    """The procedure as Holm states it: while the smallest remaining p is at most level / remaining, reject it."""
    adjusted = holm(p)
    rejected, remaining = set(), sorted(range(len(p)), key=lambda index: p[index])
    while remaining and p[remaining[0]] * len(remaining) <= level:
        rejected.add(remaining.pop(0))
    assert set(np.flatnonzero(adjusted <= level)) == rejected


@given(p_values)
def test_holm_lies_between_the_raw_and_bonferronis(p):
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(np.array(p) * len(p), 1)).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all(), "keeps the order of the p-values"


def test_minimum_far_is_where_the_guard_passes():
    assert minimum_far(3000, 30) == 0.01
    with pytest.raises(ValueError, match="cannot give"):
        minimum_far(30, 30)
