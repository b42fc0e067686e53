"""Trials that only noise keeps off the frontier."""

from collections.abc import Collection, Sequence

from veil.frontier.comparison import LEVEL, Comparison, SampledTrial, compare_with
from veil.objectives import Objective


def frontier_ties(
    trials: Sequence[SampledTrial], best: Collection[int], objectives: Sequence[Objective]
) -> frozenset[int]:
    """Find the trials off the frontier that the people scored cannot tell from it.

    A trial is a tie of the frontier if no frontier trial is significantly better in one objective without being
    significantly worse in another. Significance is that of `compare_with`: paired differences over the people, and
    Holm's procedure for all trials that are compared with that frontier trial.

    Args:
        trials: all valid trials of a study, scored on the same people.
        best: numbers of those on the frontier.
        objectives: that decide who is on the frontier.

    Returns:
        numbers of the ties.

    Raises:
        ProtocolError: two trials were scored on different people.
    """
    beaten: set[int] = set()
    for reference in trials:
        if reference.number in best:
            others = [trial for trial in trials if trial.number != reference.number]
            compared = compare_with(reference, others, objectives)
            beaten |= {item.trial.number for item in compared if _reference_wins(item, objectives)}
    return frozenset(trial.number for trial in trials) - beaten - frozenset(best)


def _reference_wins(found: Comparison, objectives: Sequence[Objective]) -> bool:
    losses = [
        objective.as_loss(found.differences[objective.name].value)
        for objective in objectives
        if found.p_values[objective.name] <= LEVEL
    ]
    return bool(losses) and min(losses) > 0
