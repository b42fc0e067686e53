import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from veil.errors import ProtocolError
from veil.frontier.dominance import (
    dominates_beyond_noise,
    frontier,
    frontier_beyond_noise,
    non_dominated,
    statistical_ties,
)
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


def test_dominance_beyond_noise_needs_one_separated_interval(make_point):
    better = make_point(0, 0.30, 0.60, half_width=0.05)
    assert dominates_beyond_noise(better, make_point(1, 0.50, 0.60, half_width=0.05), AXES)
    assert not dominates_beyond_noise(better, make_point(1, 0.38, 0.58, half_width=0.05), AXES)
    assert not dominates_beyond_noise(better, make_point(1, 0.50, 0.61, half_width=0.05), AXES)
    assert not dominates_beyond_noise(better, better, AXES)


def test_exact_values_make_it_plain_dominance(make_point):
    points = [make_point(0, 0.3, 0.6), make_point(1, 0.3, 0.5), make_point(2, 0.2, 0.4)]
    assert [p.trial for p in frontier_beyond_noise(points, AXES)] == [0, 2]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.3)), max_size=10))
def test_the_frontier_is_never_beaten_beyond_noise(values):
    from veil.frontier.points import FrontierPoint

    points = [
        FrontierPoint(
            trial=i,
            label="",
            family="",
            trainable="",
            objectives={"leak": (a, a - w, a + w), "utility": (b, b - w, b + w)},
        )
        for i, (a, b, w) in enumerate(values)
    ]
    kept = {point.trial for point in frontier_beyond_noise(points, AXES)}
    assert {point.trial for point in frontier(points, AXES)} <= kept


def test_ties_do_not_chain(make_point):
    # 0-1 and 1-2 overlap, 0-2 do not: 2 must not end in the group of 0.
    points = [make_point(i, leak, 0.5, half_width=0.06) for i, leak in enumerate((0.1, 0.2, 0.3))]
    assert [[p.trial for p in group] for group in statistical_ties(points, AXES)] == [[0, 1], [2]]


def test_a_tie_needs_every_objective(make_point):
    points = [make_point(0, 0.1, 0.2, half_width=0.05), make_point(1, 0.1, 0.8, half_width=0.05)]
    assert len(statistical_ties(points, AXES)) == 2
