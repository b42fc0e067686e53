import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veil.errors import ConfigError
from veil.objectives import OBJECTIVES, Objective, get_objective


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_the_reference_is_the_worst_bound(objective):
    low, high = objective.bounds
    assert objective.reference == (high if objective.direction == "minimize" else low)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_smaller_loss_is_a_better_value(objective, first, second):
    better = first < second if objective.direction == "minimize" else first > second
    assert (objective.as_loss(first) < objective.as_loss(second)) == better


def test_objectives_are_registered_under_their_names():
    assert all(name == objective.name for name, objective in OBJECTIVES.items())


def test_objectives_cannot_be_moved():
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_objective("leak").reference = 0.5
    assert get_objective("leak") == Objective("leak", "minimize", get_objective("leak").unit, (0.0, 1.0), 1.0)


def test_unknown_objective_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown objective 'leek'; did you mean 'leak'"):
        get_objective("leek")
