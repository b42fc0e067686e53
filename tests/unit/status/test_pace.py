"""When a study may end, on a clock of the test's own."""

import pytest

from veil.status.pace import LEAST_WINDOW, estimate_pace


def pace_of(finished: list[float], now: float, remaining: int, running: int = 1, concurrent: int = 1):
    return estimate_pace(finished, 1000.0, now, remaining, running, concurrent)


def test_unknown_before_the_second_trial_of_this_run() -> None:
    assert pace_of([], 1100, 10) is None
    assert pace_of([1100], 1200, 10) is None
    assert pace_of([400, 500, 600, 1100], 1200, 10) is None, "three of them are an earlier driver's"
    assert pace_of([400, 1100, 1200], 1200, 10) is not None


def test_the_end_stays_where_it_is_while_trials_take_as_long_as_before() -> None:
    for now in (1200, 1240, 1299):
        found = pace_of([1100, 1200], now, remaining=3)
        assert (found.end, found.trials_per_hour, found.counted) == (1500, pytest.approx(36), 2)


def test_the_end_moves_on_when_the_running_trial_is_overdue() -> None:
    assert pace_of([1100, 1200], 1350, remaining=3).end == 1550
    assert pace_of([1100, 1200], 2000, remaining=1).end == 2000, "the last one may end now, never in the past"


def test_trials_that_finish_in_rounds_count_for_what_they_took() -> None:
    rounds = [1100.0] * 4 + [1200.0] * 4
    found = pace_of(rounds, 1200, remaining=8, running=4, concurrent=4)
    assert found.end == pytest.approx(1400) and found.trials_per_hour == pytest.approx(144)


def test_slow_trials_after_quick_ones_are_believed() -> None:
    quick = [1000.0 + second for second in range(1, 101)]
    slow = [1100.0 + 50 * trial for trial in range(1, LEAST_WINDOW + 1)]
    found = pace_of(quick + slow, slow[-1], remaining=2)
    assert found.counted == LEAST_WINDOW and found.end == pytest.approx(slow[-1] + 100)


def test_trials_that_take_no_time_have_a_finite_pace() -> None:
    found = pace_of([1000.0 + 1e-9, 1000.0 + 2e-9], 1000.0, remaining=5)
    assert 0 < found.trials_per_hour < float("inf") and found.end == pytest.approx(1000)
