"""Successive halving with several objectives: order of a rung, and who goes on, against slow and plain definitions."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from veil.errors import ProtocolError
from veil.frontier.halving import Place, halving_order, last_place

# Few values, so that equal rows and equal columns are common.
LOSSES = st.integers(1, 3).flatmap(
    lambda columns: st.integers(1, 9).flatmap(
        lambda rows: arrays(np.float64, (rows, columns), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
    )
)


def dominates(one, other):
    return (one <= other).all() and (one < other).any()


def plain_fronts(losses):
    """Front of each row by the definition: peel off what nothing else that is left dominates."""
    fronts, left = {}, set(range(len(losses)))
    for front in itertools.count():
        best = {row for row in left if not any(dominates(losses[other], losses[row]) for other in left)}
        fronts |= dict.fromkeys(best, front)
        left -= best
        if not left:
            return [fronts[row] for row in range(len(losses))]


@given(LOSSES)
def test_fronts_come_one_after_the_other(losses):
    order = halving_order(losses)
    assert sorted(order) == list(range(len(losses)))
    fronts = plain_fronts(losses)
    assert [fronts[row] for row in order] == sorted(fronts)


@given(LOSSES)
def test_each_next_row_of_a_front_is_farthest_from_those_before(losses):
    order, fronts = halving_order(losses), plain_fronts(losses)
    for front in set(fronts):
        rows = [row for row in order if fronts[row] == front]
        assert losses[rows[0], 0] == min(losses[row, 0] for row in rows)

        def gap(row, taken):
            return min(np.hypot.reduce(losses[row] - losses[other]) for other in taken)

        for index in range(1, len(rows)):
            taken = rows[:index]
            assert gap(rows[index], taken) == pytest.approx(max(gap(row, taken) for row in rows[index:]))


def test_ends_of_a_front_come_before_its_middle():
    front = np.column_stack([np.linspace(0, 1, 9), np.linspace(1, 0, 9)])
    assert list(halving_order(front)[:3]) == [0, 8, 4]


def test_one_objective_is_plain_sorting():
    losses = np.random.default_rng(0).random((40, 1))
    assert list(halving_order(losses)) == list(np.argsort(losses[:, 0]))


@given(LOSSES)
def test_last_place_counts_the_rows_before_it(losses):
    place = last_place(losses)
    assert place.of == len(losses)
    assert list(halving_order(losses)).index(len(losses) - 1) == place.rank - 1


def test_order_does_not_depend_on_the_scale_or_the_origin():
    losses = np.random.default_rng(1).random((30, 2))
    assert list(halving_order(losses)) == list(halving_order(100 * losses - 7))


@pytest.mark.parametrize("eta", [2, 2.5, 3, 4])
@pytest.mark.parametrize("of", [1, 2, 3, 10, 300])
def test_about_one_in_eta_goes_on(eta, of):
    going = [rank for rank in range(1, of + 1) if Place(rank, of).goes_on(eta)]
    assert going == list(range(1, int(of / eta) + 2)), "the best, and whoever has at most of/eta better ones"


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(ProtocolError, match="NaN"):
        halving_order(np.array([[0.1, np.nan]]))
    assert len(halving_order(np.zeros((0, 2)))) == 0
