import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from veil.errors import ProtocolError
from veil.frontier.dominance import frontier, non_dominated, ranked
from veil.objectives import OBJECTIVES

AXES = (OBJECTIVES["leak"], OBJECTIVES["utility"])
# Few distinct values make ties and duplicates common; infinities are legal losses.
VALUES = st.sampled_from([-np.inf, -1.0, 0.0, 0.25, 0.5, 1.0, np.inf])


def brute_force(losses):
    return np.array([not any((b <= a).all() and (b < a).any() for b in losses) for a in losses], dtype=bool)


@given(
    st.integers(1, 4).flatmap(lambda m: arrays(np.float64, st.tuples(st.integers(0, 12), st.just(m)), elements=VALUES))
)
def test_agrees_with_the_definition(losses):
    np.testing.assert_array_equal(non_dominated(losses), brute_force(losses))


def test_all_copies_of_a_point_are_kept():
    assert non_dominated(np.array([[0.1, 0.1], [0.1, 0.1], [0.2, 0.0]])).tolist() == [True, True, True]


def test_empty_gives_an_empty_mask():
    assert non_dominated(np.zeros((0, 2))).shape == (0,)


def test_nan_is_refused_with_its_row():
    with pytest.raises(ProtocolError, match="row 1"):
        non_dominated(np.array([[0.0, 1.0], [np.nan, 0.0]]))


def test_frontier_respects_directions_and_leaves_invalid_trials_out(make_point, make_invalid):
    points = [
        make_point(0, 0.9, 0.9),
        make_point(1, 0.1, 0.5),
        make_point(2, 0.2, 0.4),
        make_invalid(3, objectives={"leak": (0.0, 0.0, 0.0), "utility": (1.0, 1.0, 1.0)}),
    ]
    assert [point.trial for point in frontier(points, AXES)] == [1, 0]


def test_ranked_puts_ties_after_the_frontier_and_each_group_in_order(make_point, make_invalid):
    values = [(0.9, 0.5), (0.1, 0.5), (0.3, 0.4), (0.2, 0.4), (0.8, 0.1)]
    points = [*(make_point(trial, *value) for trial, value in enumerate(values)), make_invalid(5)]
    rows = [(point.trial, standing) for point, standing in ranked(points, AXES, ties={2, 0})]
    assert rows == [(1, "frontier"), (2, "tie"), (0, "tie"), (3, "beaten"), (4, "beaten")]
    assert {standing for _, standing in ranked(points, AXES)} == {"frontier", "beaten"}
