import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trainables.analytic import FRONT_HYPERVOLUME, evaluate
from veil.errors import ProtocolError
from veil.frontier.hypervolume import frontier_hypervolume, hypervolume, hypervolume_history, reference_losses
from veil.objectives import OBJECTIVES

AXES = (OBJECTIVES["leak"], OBJECTIVES["utility"])


def inclusion_exclusion(losses, reference):
    """Second algorithm: sum over all subsets of the boxes' intersections, with alternating signs."""
    total = 0.0
    for subset in range(1, 2 ** len(losses)):
        rows = [i for i in range(len(losses)) if subset >> i & 1]
        sides = np.maximum(reference - losses[rows].max(axis=0), 0.0)
        total -= (-1) ** len(rows) * sides.prod()
    return total


@given(
    st.integers(1, 4).flatmap(
        lambda m: arrays(np.float64, st.tuples(st.integers(0, 7), st.just(m)), elements=st.floats(-1, 1.5))
    )
)
def test_agrees_with_inclusion_exclusion(losses):
    # Values up to 1.5 put points on and beyond the reference.
    reference = np.ones(losses.shape[1])
    assert hypervolume(losses, reference) == pytest.approx(inclusion_exclusion(losses, reference), abs=1e-9)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
def test_one_box(dimensions):
    assert hypervolume(np.full((1, dimensions), 0.5), np.ones(dimensions)) == pytest.approx(0.5**dimensions)


def test_duplicates_and_dominated_points_add_nothing():
    losses = np.array([[0.25, 0.5], [0.25, 0.5], [0.5, 0.75], [0.5, 0.25]])
    assert hypervolume(losses, np.ones(2)) == pytest.approx(0.75 * 0.5 + 0.5 * 0.25)


@pytest.mark.parametrize("beyond", [[1.0, 0.2], [1.2, 0.0], [np.inf, 0.0]])
def test_points_not_better_than_the_reference_add_nothing(beyond):
    assert hypervolume(np.array([beyond]), np.ones(2)) == 0.0
    assert hypervolume(np.array([beyond, [0.5, 0.5]]), np.ones(2)) == 0.25


def test_empty_is_zero_and_minus_infinity_infinite():
    assert hypervolume(np.zeros((0, 2)), np.ones(2)) == 0.0
    assert hypervolume(np.array([[-np.inf, 0.0]]), np.ones(2)) == math.inf
    assert hypervolume(np.array([[-np.inf, 2.0]]), np.ones(2)) == 0.0


def test_nan_is_refused():
    with pytest.raises(ProtocolError, match="NaN cannot be ranked"):
        hypervolume(np.array([[np.nan, 0.0]]), np.ones(2))


def test_reference_comes_from_the_objectives_alone():
    assert reference_losses(AXES).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("count", [4, 100, 2000])
def test_analytic_front_has_its_closed_form(make_point, count):
    points = [make_point(i, *evaluate(i / count, 0.0)) for i in range(1, count + 1)]
    measured = frontier_hypervolume(points, AXES)
    assert measured == pytest.approx(sum(math.sqrt(i / count) / count for i in range(1, count)), abs=1e-12)
    assert 0 < FRONT_HYPERVOLUME - measured < 1 / count


def test_history_equals_the_hypervolume_of_each_prefix(make_point, make_invalid):
    generator = np.random.default_rng(0)
    points = [make_point(i, *generator.random(2)) for i in range(40)]
    points[7] = make_invalid(7)
    expected = [frontier_hypervolume(points[: i + 1], AXES) for i in range(len(points))]
    shuffled = [points[i] for i in generator.permutation(len(points))]
    assert hypervolume_history(shuffled, AXES) == pytest.approx(expected)
    assert expected[7] == expected[6]


def test_history_without_trials_is_empty():
    assert hypervolume_history([], AXES) == []
