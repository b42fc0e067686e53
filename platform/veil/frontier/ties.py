"""Trials that only noise keeps off the frontier, and those that noise alone tells from each other."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from veil.frontier.comparison import LEVEL, Comparison, SampledTrial, compare_with
from veil.objectives import Objective


class Ties(NamedTuple):
    """What the people scored cannot tell apart.

    Attributes:
        trials: numbers of the trials off the frontier that tie with it.
        groups: numbers of frontier trials and ties, a group for each trial that stands for others, in the order of the
            frontier; every one is in exactly one group. The first of a group is the trial from which no other of its
            group differs significantly in any objective.
    """

    trials: frozenset[int]
    groups: tuple[tuple[int, ...], ...]


def find_ties(trials: Sequence[SampledTrial], best: Collection[int], objectives: Sequence[Objective]) -> Ties:
    """Find the trials off the frontier that the people scored cannot tell from it, and group all that tie.

    A trial is a tie of the frontier if no frontier trial is significantly better in one objective without being
    significantly worse in another. Significance is that of `compare_with`: paired differences over the people, and
    Holm's procedure for all trials that are compared with that frontier trial.

    That two trials do not differ significantly does not make them equal, and a third may lie between them. So a group
    gathers around a frontier trial that no earlier group holds, and a trial joins the group whose first trial it is
    least told from.

    Args:
        trials: all valid trials of a study, scored on the same people.
        best: numbers of those on the frontier.
        objectives: that decide who is on the frontier.

    Raises:
        ProtocolError: two trials were scored on different people.
    """
    ordered = sorted(trials, key=lambda trial: (objectives[0].as_loss(trial.values[objectives[0].name]), trial.number))
    compared: dict[int, list[Comparison]] = {}
    for reference in ordered:
        if reference.number in best:
            others = [trial for trial in trials if trial.number != reference.number]
            compared[reference.number] = compare_with(reference, others, objectives)
    beaten = {item.trial.number for found in compared.values() for item in found if _reference_wins(item, objectives)}
    ties = frozenset(trial.number for trial in trials) - beaten - frozenset(best)
    return Ties(ties, _groups(compared, [trial.number for trial in ordered if trial.number in ties]))


def _groups(compared: Mapping[int, Sequence[Comparison]], ties: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Groups by the first trial of each; a trial joins the one from which it is least told apart."""
    same = {
        leader: {
            item.trial.number: min(difference.p_value for difference in item.differences.values())
            for item in found
            if min(item.p_values.values()) > LEVEL
        }
        for leader, found in compared.items()
    }
    groups: dict[int, list[int]] = {}
    for number in (*compared, *ties):
        near = [leader for leader in groups if number in same.get(leader, ())]
        leader = max(near, key=lambda leader: same[leader][number], default=number)
        groups.setdefault(leader, []).append(number)
    return tuple(map(tuple, groups.values()))


def _reference_wins(found: Comparison, objectives: Sequence[Objective]) -> bool:
    losses = [
        objective.as_loss(found.differences[objective.name].value)
        for objective in objectives
        if found.p_values[objective.name] <= LEVEL
    ]
    return bool(losses) and min(losses) > 0
