import pytest

from veil.errors import ConfigError
from veil.frontier.selection import select


@pytest.fixture
def points(make_point, make_invalid):
    return [
        make_point(0, 0.05, 0.40, half_width=0.02),
        make_point(1, 0.09, 0.60, half_width=0.04),
        make_point(2, 0.40, 0.80, half_width=0.05),
        make_point(3, 0.95, 0.90, half_width=0.05),
        make_point(4, 0.50, 0.70, half_width=0.05),
        make_point(5, 0.00, 1.00, synthetic=True),
        make_invalid(6, objectives={"leak": (0.0, 0.0, 0.0), "utility": (1.0, 1.0, 1.0)}),
    ]


def trials(chosen):
    return [point.trial for point in chosen]


def test_leak_budget_ranks_by_utility(points):
    assert trials(select(points, max_leak=0.10)) == [1, 0]


def test_conservative_uses_the_unfavourable_end(points):
    assert trials(select(points, max_leak=0.10, conservative=True)) == [0]
    assert trials(select(points, min_utility=0.78, conservative=True)) == [3]


def test_utility_floor_alone_ranks_by_leak(points):
    assert trials(select(points, min_utility=0.65)) == [2, 4, 3]


def test_one_expression_for_every_face_is_never_picked(make_point):
    collapsed = make_point(7, 0.01, 0.50, extras={"collapsed": 1.0})
    assert trials(select([collapsed, make_point(8, 0.20, 0.45)], max_leak=0.5)) == [8]
    with pytest.raises(ConfigError, match="1 show one expression"):
        select([collapsed], max_leak=0.5)


def test_both_budgets(points):
    assert trials(select(points, max_leak=0.5, min_utility=0.65)) == [2, 4]


def test_knee_is_the_largest_box_and_holds_frontier_points_only(points):
    assert trials(select(points, knee=True)) == [1, 2, 0, 3]
    assert trials(select(points, knee=True, min_utility=0.75)) == [2, 3]


def test_equal_utility_goes_to_the_lower_leak_then_to_the_earlier_trial(make_point):
    points = [make_point(0, 0.3, 0.5), make_point(1, 0.2, 0.5), make_point(2, 0.2, 0.5)]
    assert trials(select(points, max_leak=1.0)) == [1, 2, 0]


def test_unmet_leak_budget_names_the_closest(points):
    with pytest.raises(
        ConfigError, match=r"leaks at most 0.01; the lowest is 0.05 \[0.03, 0.07\] \(trial 0, method 0\)"
    ):
        select(points, max_leak=0.01)


def test_unmet_utility_budget_names_the_closest(points):
    with pytest.raises(ConfigError, match=r"at least 0.7 among the 2 that leak at most 0.1; the highest is 0.60"):
        select(points, max_leak=0.1, min_utility=0.7)


def test_nothing_to_pick_says_why(points):
    with pytest.raises(ConfigError, match="none of the 2 trials can be picked: 1 are invalid, 1 are synthetic"):
        select(points[5:], max_leak=0.5)


@pytest.mark.parametrize("budget", [-0.1, 1.5, float("nan")])
def test_budgets_outside_the_unit_interval_are_refused(points, budget):
    with pytest.raises(ConfigError, match="expected a number from 0 to 1"):
        select(points, max_leak=budget)


def test_no_budget_is_an_error(points):
    with pytest.raises(ConfigError, match="--max-leak, --min-utility or --knee"):
        select(points)
