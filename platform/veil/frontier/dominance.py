"""Which points no other point beats, by value and beyond measurement noise."""

from collections.abc import Sequence

import moocore
import numpy as np

from veil.errors import ProtocolError
from veil.frontier.points import FrontierPoint, loss_bounds, loss_matrix
from veil.objectives import Objective


def non_dominated(losses: np.ndarray) -> np.ndarray:
    """Mark the rows that no other row dominates.

    A row dominates another if it is nowhere larger and somewhere smaller. Equal rows do not dominate each other, so
    all copies of a non-dominated row are marked.

    Args:
        losses: float (N, M), smaller is better; infinities are allowed.

    Returns:
        bool (N,); (0,) without rows.

    Raises:
        ProtocolError: a value is NaN.

    >>> non_dominated(np.array([[0.1, 0.9], [0.5, 0.5], [0.6, 0.6]]))
    array([ True,  True, False])
    """
    check_no_nan(losses)
    if len(losses) == 0:
        return np.zeros(0, dtype=bool)
    # Dominance only asks for the order within each column, so ranks do as well as values; moocore 0.3 misjudges
    # infinite values in four and more columns.
    ranks = np.column_stack([np.unique(column, return_inverse=True)[1] for column in losses.T]).astype(np.float64)
    return np.asarray(moocore.is_nondominated(ranks, keep_weakly=True), dtype=bool)


def check_no_nan(losses: np.ndarray) -> None:
    """Refuse values that cannot be ordered.

    Raises:
        ProtocolError: a value is NaN; its row is named.
    """
    rows = np.flatnonzero(np.isnan(losses).any(axis=1))
    if len(rows):
        raise ProtocolError(
            f"objective values of row {rows[0]} are {losses[rows[0]].tolist()}: NaN cannot be ranked; mark that trial "
            "as invalid"
        )


def frontier(points: Sequence[FrontierPoint], objectives: Sequence[Objective]) -> list[FrontierPoint]:
    """The non-dominated points among the valid ones, best first objective first."""
    valid = [point for point in points if point.valid]
    losses = loss_matrix(valid, objectives)
    marked = np.flatnonzero(non_dominated(losses))
    order = sorted(marked, key=lambda row: (*losses[row], valid[row].trial))
    return [valid[row] for row in order]


def dominates_beyond_noise(better: FrontierPoint, other: FrontierPoint, objectives: Sequence[Objective]) -> bool:
    """Whether one point dominates another by more than their intervals can explain.

    It must be nowhere worse by value, and in at least one objective its whole 95 % interval must lie on the better
    side of the other's. This is conservative: trials are judged on the same people, so the interval of their paired
    difference is narrower than the two intervals taken apart.
    """
    separated = False
    for objective in objectives:
        value = objective.as_loss(better.interval(objective.name).value)
        if value > objective.as_loss(other.interval(objective.name).value):
            return False
        separated |= loss_bounds(better, objective)[1] < loss_bounds(other, objective)[0]
    return separated


def frontier_beyond_noise(points: Sequence[FrontierPoint], objectives: Sequence[Objective]) -> list[FrontierPoint]:
    """The valid points that none dominates beyond noise, in the given order; contains `frontier`."""
    valid = [point for point in points if point.valid]
    return [point for point in valid if not any(dominates_beyond_noise(other, point, objectives) for other in valid)]


def statistical_ties(
    points: Sequence[FrontierPoint], objectives: Sequence[Objective]
) -> list[tuple[FrontierPoint, ...]]:
    """Group valid points that the measurement cannot tell apart.

    Two points tie if their 95 % intervals overlap in every objective. That relation is not transitive, so a group is
    built around a leader: points are visited from the best first objective on, each becomes the leader of a new group
    unless it ties with an earlier leader, whose group it then joins. Every member therefore ties with its leader, and
    long chains of neighbours never collapse into one group.

    Returns:
        groups with the leader first; points without a tie form groups of one.
    """
    valid = [point for point in points if point.valid]
    losses = loss_matrix(valid, objectives)
    check_no_nan(losses)
    order = sorted(range(len(valid)), key=lambda row: (*losses[row], valid[row].trial))
    groups: list[list[FrontierPoint]] = []
    for row in order:
        for group in groups:
            if _overlap(group[0], valid[row], objectives):
                group.append(valid[row])
                break
        else:
            groups.append([valid[row]])
    return [tuple(group) for group in groups]


def _overlap(first: FrontierPoint, second: FrontierPoint, objectives: Sequence[Objective]) -> bool:
    for objective in objectives:
        best_first, worst_first = loss_bounds(first, objective)
        best_second, worst_second = loss_bounds(second, objective)
        if worst_first < best_second or worst_second < best_first:
            return False
    return True
