import math

import numpy as np
import pytest

from veil.errors import ProtocolError
from veil.frontier.points import FrontierPoint, loss_matrix
from veil.objectives import OBJECTIVES

AXES = (OBJECTIVES["leak"], OBJECTIVES["utility"])


def test_losses_turn_maximised_objectives_around(make_point):
    assert loss_matrix([make_point(0, 0.2, 0.7), make_point(1, 0.5, 0.9)], AXES).tolist() == [[0.2, -0.7], [0.5, -0.9]]


def test_no_points_give_an_empty_matrix_with_all_columns():
    assert loss_matrix([], AXES).shape == (0, 2)
    assert loss_matrix([], AXES).dtype == np.float64


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_valid_point_never_holds_nan(position):
    numbers = [0.5, 0.4, 0.6]
    numbers[position] = math.nan
    with pytest.raises(ProtocolError, match="trial 3 is valid but its leak"):
        FrontierPoint(trial=3, label="x", family="gan", trainable="t", objectives={"leak": tuple(numbers)})


def test_an_invalid_point_may_hold_nan_but_must_say_why(make_invalid):
    assert make_invalid(1, objectives={"leak": (math.nan, math.nan, math.nan)}).reason == "training diverged"
    with pytest.raises(ValueError, match="gives no reason"):
        make_invalid(1, reason=None)


def test_a_missing_objective_is_named(make_point):
    with pytest.raises(ProtocolError, match=r"trial 0 holds no objective 'realism'; it holds: leak, utility"):
        loss_matrix([make_point(0, 0.1, 0.2)], [OBJECTIVES["realism"]])
