"""How fast trials finish, and when the last one may: an extrapolation of those that have finished."""

from collections.abc import Sequence

from veil.config import Settings

LEAST_WINDOW = 10


class Pace(Settings):
    """How fast trials finish.

    Attributes:
        trials_per_hour: over the last ones.
        counted: how many those are.
        end: when the last trial may finish, if the rest takes as long; Unix time.
    """

    trials_per_hour: float
    counted: int
    end: float


def estimate_pace(
    finished: Sequence[float], started: float, now: float, remaining: int, running: int, concurrent: int
) -> Pace | None:
    """Extrapolate from the last trials, for the first ones of a study are often its quickest.

    Args:
        finished: when trials finished, in order, Unix times; those before `started` do not count.
        started: when the driver did.
        now: the present.
        remaining: how many trials have not finished, those that run included.
        running: how many run.
        concurrent: how many may run at once; trials that start together finish together, so the window spans two
            such rounds.

    Returns:
        None before the second trial has finished.

    >>> estimate_pace([60, 120, 180], started=0, now=190, remaining=5, running=1, concurrent=1)
    Pace(trials_per_hour=60.0, counted=3, end=480.0)
    """
    times = [started, *(time for time in finished if time > started)]
    if len(times) < 3:
        return None
    counted = min(len(times) - 1, max(LEAST_WINDOW, 2 * concurrent))
    seconds = (times[-1] - times[-1 - counted]) / counted
    # Trials that are overdue can finish now at the soonest.
    end = max(times[-1] + remaining * seconds, now + max(remaining - running, 0) * seconds)
    return Pace(trials_per_hour=3600 / max(seconds, 1e-3), counted=counted, end=end)
