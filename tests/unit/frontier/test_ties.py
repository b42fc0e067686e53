"""Ties with the frontier, against paired t-tests on people whose values are made up."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from veil.frontier.comparison import SampledTrial
from veil.frontier.ties import find_ties
from veil.objectives import OBJECTIVES

AXES = [OBJECTIVES["leak"], OBJECTIVES["utility"]]
N = 12


def trial_of(number, leak, utility):
    """A trial whose objectives are means over people, each (N,)."""
    values = {"leak": leak, "utility": utility}
    return SampledTrial(
        number, f"method {number}", {name: of.mean() for name, of in values.items()},
        {name: (of.sum() - of) / (N - 1) for name, of in values.items()},
    )  # fmt: skip


@pytest.fixture
def people():
    """How easily each person is recognized, and read: far more different than the trials below."""
    rng = np.random.default_rng(0)
    return rng.uniform(0.1, 0.6, N), rng.uniform(0.4, 0.9, N), lambda: 0.02 * rng.normal(size=N)


def test_small_differences_that_all_people_share_are_no_ties(people):
    leak, utility, noise = people
    best, beaten = trial_of(0, leak, utility), trial_of(1, leak + 0.05 + noise(), utility - noise())
    assert find_ties([best, beaten], {0}, AXES).trials == frozenset()
    assert np.subtract(*np.percentile(leak, [75, 25])) > 0.05, "the intervals of the two overlap all the same"


def test_a_difference_within_noise_is_a_tie(people):
    leak, utility, noise = people
    worse = leak + noise() + 0.004
    assert ttest_rel(worse, leak).pvalue > 0.05 and worse.mean() > leak.mean()
    assert find_ties([trial_of(0, leak, utility), trial_of(7, worse, utility - noise())], {0}, AXES).trials == {7}


def test_worse_in_one_objective_and_better_in_the_other_is_a_tie_with_that_trial(people):
    leak, utility, noise = people
    private, useful = trial_of(0, leak, utility), trial_of(1, leak + 0.3, utility + 0.2)
    between = trial_of(2, leak + 0.1 + noise(), utility + 0.1 + noise())
    assert find_ties([private, useful, between], {0, 1}, AXES).trials == {2}
    beaten_by_one = trial_of(3, leak + 0.31 + noise(), utility + 0.1 + noise())
    assert find_ties([private, useful, between, beaten_by_one], {0, 1}, AXES).trials == {2}


def test_many_comparisons_make_a_weak_difference_a_tie(people):
    leak, utility, noise = people
    worse = leak + 0.02 * np.linspace(-0.5, 1.5, N)
    assert 0.01 < ttest_rel(worse, leak).pvalue < 0.05
    best, weak = trial_of(0, leak, utility), trial_of(1, worse, utility)
    assert find_ties([best, weak], {0}, AXES).trials == frozenset()
    others = [trial_of(number, leak + noise() + 1e-3, utility) for number in range(2, 12)]
    assert 1 in find_ties([best, weak, *others], {0}, AXES).trials


def test_groups_gather_around_the_best_trial_that_noise_does_not_tell_from_them(people):
    leak, utility, noise = people
    private, useful = trial_of(0, leak, utility), trial_of(1, leak + 0.3, utility + 0.2)
    like_private = trial_of(2, leak + noise() + 0.004, utility - noise())
    like_useful = trial_of(3, leak + 0.3 + noise() + 0.004, utility + 0.2 - noise())
    between = trial_of(4, leak + 0.1 + noise(), utility + 0.1 + noise())
    found = find_ties([between, like_useful, like_private, useful, private], {0, 1}, AXES)
    assert found.trials == {2, 3, 4}
    assert found.groups == ((0, 2), (1, 3), (4,)), "what lies between the two differs from both"


def test_frontier_trials_within_noise_of_each_other_share_a_group(people):
    leak, utility, noise = people
    twin = trial_of(5, leak + noise() + 0.004, utility + noise())
    assert find_ties([trial_of(0, leak, utility), twin], {0, 5}, AXES) == (frozenset(), ((0, 5),))
