"""One paragraph that explains a choice: what the budget left, why this point, what its neighbours cost and gain."""

from collections.abc import Mapping, Sequence

from veil.frontier.comparison import LEVEL, Comparison, SampledTrial, compare_with
from veil.frontier.dominance import frontier
from veil.frontier.points import FrontierPoint
from veil.frontier.selection import pickable
from veil.objectives import OBJECTIVES
from veil.picking.budget import Budget

_AXES = (OBJECTIVES["leak"], OBJECTIVES["utility"])
_MOST_NAMED = 6


def explain(
    points: Sequence[FrontierPoint],
    budget: Budget,
    candidates: Sequence[FrontierPoint],
    samples: Mapping[int, SampledTrial],
) -> str:
    """Explain why the first of some candidates is taken.

    Args:
        points: all trials of the study.
        budget: what was asked for.
        candidates: trials that meet it, the one to take first.
        samples: trials in other samples of the people; those that are missing are compared by their values alone.
    """
    chosen = candidates[0]
    usable = pickable(points)
    best = frontier(usable, _AXES)
    others = [samples[point.trial] for point in usable if point.trial in samples and point.trial != chosen.trial]
    compared: dict[int, Comparison] = {}
    if chosen.trial in samples:
        compared = {item.trial.number: item for item in compare_with(samples[chosen.trial], others, _AXES)}
    sentences = [
        _what_was_left(points, usable, budget, candidates),
        _why(chosen, budget, candidates),
        _standing(chosen, best),
        *_neighbours(chosen, best, budget, compared),
        _ties(compared),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _what_was_left(
    points: Sequence[FrontierPoint],
    usable: Sequence[FrontierPoint],
    budget: Budget,
    candidates: Sequence[FrontierPoint],
) -> str:
    if budget.trial is not None:
        return f"Trial {budget.trial} was asked for by its number."
    left_out = [
        f"{count} {what}"
        for count, what in (
            (sum(not point.valid and not point.stopped for point in points), "invalid"),
            (sum(point.stopped for point in points), "stopped early"),
            (sum(bool(point.extras.get("collapsed")) for point in points), "with one expression for every face"),
        )
        if count
    ]
    among = f"Of {len(points)} trials, {len(usable)} can be picked"
    among += f" ({', '.join(left_out)})" if left_out else ""
    one = len(candidates) == 1
    what = f"lie{'s' * one} on the frontier" if budget.knee else f"remain{'s' * one}"
    within = f" within {budget.options}" if budget.max_leak is not None or budget.min_utility is not None else ""
    return f"{among}; {len(candidates)} {what}{within}."


def _why(chosen: FrontierPoint, budget: Budget, candidates: Sequence[FrontierPoint]) -> str:
    scored = f"leak {chosen.interval('leak')}, utility {chosen.interval('utility')}"
    name = f"trial {chosen.trial} ({chosen.label}; {scored})"
    if budget.trial is not None or len(candidates) == 1:
        return f"It is {name}."
    if budget.knee:
        area = (1 - chosen.interval("leak").value) * chosen.interval("utility").value
        return f"Of these, {name} has the largest product of privacy and utility, (1 - leak) · utility = {area:.2f}."
    reason = "leaks least" if budget.max_leak is None else "keeps most of the expression"
    return f"Of these, {name} {reason}."


def _standing(chosen: FrontierPoint, best: Sequence[FrontierPoint]) -> str:
    if any(point.trial == chosen.trial for point in best):
        return "It lies on the frontier."
    leak, utility = _values(chosen)
    better = next(
        (point for point in best if _values(point)[0] <= leak and _values(point)[1] >= utility), None
    )  # None where the chosen one was left out of the frontier
    return f"It is off the frontier: trial {better.trial} ({better.label}) is better in both." if better else ""


def _neighbours(
    chosen: FrontierPoint, best: Sequence[FrontierPoint], budget: Budget, compared: Mapping[int, Comparison]
) -> list[str]:
    """One sentence for the next frontier point that leaks less, and one for the next that keeps more expression."""
    leak, utility = _values(chosen)
    safer = [point for point in best if _values(point)[0] < leak and point.trial != chosen.trial]
    better = [point for point in best if _values(point)[1] > utility and point.trial != chosen.trial]
    sentences = []
    if safer:
        point = max(safer, key=lambda other: _values(other)[0])
        sentences.append(_neighbour("more privacy", point, chosen, budget, compared))
    if better:
        point = min(better, key=lambda other: _values(other)[1])
        if not safer or point.trial != max(safer, key=lambda other: _values(other)[0]).trial:
            sentences.append(_neighbour("more expression", point, chosen, budget, compared))
    return sentences


def _neighbour(
    side: str, point: FrontierPoint, chosen: FrontierPoint, budget: Budget, compared: Mapping[int, Comparison]
) -> str:
    changes = []
    for axis in _AXES:
        difference = point.interval(axis.name).value - chosen.interval(axis.name).value
        tie = point.trial in compared and compared[point.trial].p_values[axis.name] > LEVEL
        # Adding 0 makes of -0.00 a +0.00.
        changes.append(f"{axis.name} {round(difference, 2) + 0.0:+.2f}{' (a tie)' if tie else ''}")
    leak, utility = _values(point)
    beyond = (budget.max_leak is not None and leak > budget.max_leak) or (
        budget.min_utility is not None and utility < budget.min_utility
    )
    where = ", beyond the budget" if beyond else ""
    return f"The next frontier point with {side} is trial {point.trial} ({point.label}): {', '.join(changes)}{where}."


def _ties(compared: Mapping[int, Comparison]) -> str:
    if not compared:
        return ""
    tied = [number for number, item in compared.items() if all(p_value > LEVEL for p_value in item.p_values.values())]
    people = len(next(iter(compared.values())).trial.left_out["leak"])
    test = f"(paired differences over {people} people, Holm's procedure)"
    if not tied:
        return f"Every other trial differs from it significantly in leak or utility {test}."
    named = ", ".join(map(str, tied[:_MOST_NAMED])) + (", …" if len(tied) > _MOST_NAMED else "")
    count = f"{len(tied)} trials tie" if len(tied) > 1 else "1 trial ties"
    return f"{count} with it in both leak and utility: {named} {test}."


def _values(point: FrontierPoint) -> tuple[float, float]:
    return point.interval("leak").value, point.interval("utility").value
