"""Which trial to take, given a budget: a largest leak, a smallest utility, or the knee of the frontier."""

from collections.abc import Sequence

from veil.errors import ConfigError
from veil.frontier.dominance import frontier
from veil.frontier.points import FrontierPoint
from veil.objectives import OBJECTIVES

_AXES = (OBJECTIVES["leak"], OBJECTIVES["utility"])


def select(
    points: Sequence[FrontierPoint],
    *,
    max_leak: float | None = None,
    min_utility: float | None = None,
    knee: bool = False,
    conservative: bool = False,
) -> list[FrontierPoint]:
    """Rank the trials that meet a budget, the one to take first.

    Invalid and synthetic trials are never ranked, nor are those whose expressions have collapsed (`extras` holds
    "collapsed"): one expression for every face has some utility and no use.

    - With `max_leak`: by utility, highest first.
    - With `min_utility` alone: by leak, lowest first.
    - With `knee`: the frontier (of what is within the budgets, if any are given) by (1 - leak) · utility, largest
      first: the area a point dominates alone up to the fixed reference point, which is Nash's bargaining solution
      (Econometrica 1950) between privacy and utility. It needs no second point and no observed extremes, so one more
      trial cannot move the verdict on the others.

    Args:
        points: trials of a study that minimises leak and maximises utility.
        max_leak: largest leak allowed, in [0, 1].
        min_utility: smallest utility allowed, in [0, 1].
        knee: rank by the knee criterion.
        conservative: judge the budgets by the unfavourable ends of the intervals instead of by the values.

    Returns:
        at least one point.

    Raises:
        ConfigError: no budget is given, a budget lies outside [0, 1], or no trial meets it (the closest is named).
    """
    if max_leak is None and min_utility is None and not knee:
        raise ConfigError("no budget given; use --max-leak, --min-utility or --knee")
    for option, budget in (("--max-leak", max_leak), ("--min-utility", min_utility)):
        if budget is not None and not 0 <= budget <= 1:
            raise ConfigError(f"{option} {budget}: expected a number from 0 to 1")
    usable = pickable(points)
    if not usable:
        ended = sum(point.stopped for point in points)
        stopped = f"{ended} were stopped early, " if ended else ""
        raise ConfigError(
            f"none of the {len(points)} trials can be picked: "
            f"{sum(not point.valid and not point.stopped for point in points)} are invalid, {stopped}"
            f"{sum(point.valid and point.synthetic for point in points)} are synthetic, "
            f"{sum(bool(point.extras.get('collapsed')) for point in points)} show one expression for every face; "
            "run more trials (veil resume)"
        )
    within_leak = [point for point in usable if max_leak is None or _leak(point, conservative) <= max_leak]
    if not within_leak:
        best = min(usable, key=lambda point: _leak(point, conservative))
        raise ConfigError(
            f"no trial leaks at most {max_leak}{_bound(conservative)}; the lowest is {best.interval('leak')} "
            f"(trial {best.trial}, {best.label}): raise --max-leak or run more trials"
        )
    within = [point for point in within_leak if min_utility is None or _utility(point, conservative) >= min_utility]
    if not within:
        best = max(within_leak, key=lambda point: _utility(point, conservative))
        among = "" if max_leak is None else f" among the {len(within_leak)} that leak at most {max_leak}"
        raise ConfigError(
            f"no trial has a utility of at least {min_utility}{_bound(conservative)}{among}; the highest is "
            f"{best.interval('utility')} (trial {best.trial}, {best.label}): lower --min-utility or run more trials"
        )
    if knee:
        return sorted(frontier(within, _AXES), key=lambda point: (-_area(point), point.trial))
    if max_leak is None:
        return sorted(within, key=lambda point: (_leak(point), -_utility(point), point.trial))
    return sorted(within, key=lambda point: (-_utility(point), _leak(point), point.trial))


def pickable(points: Sequence[FrontierPoint]) -> list[FrontierPoint]:
    """The trials that can be ranked: valid, not synthetic, and not with one expression for every face."""
    return [point for point in points if point.valid and not point.synthetic and not point.extras.get("collapsed")]


def _leak(point: FrontierPoint, conservative: bool = False) -> float:
    interval = point.interval("leak")
    return interval.high if conservative else interval.value


def _utility(point: FrontierPoint, conservative: bool = False) -> float:
    interval = point.interval("utility")
    return interval.low if conservative else interval.value


def _area(point: FrontierPoint) -> float:
    return (1 - _leak(point)) * _utility(point)


def _bound(conservative: bool) -> str:
    return " by the unfavourable end of its interval" if conservative else ""
