"""Which points no other point beats, and the order in which tables and figures show all of them."""

from collections.abc import Collection, Sequence
from typing import Literal

import moocore
import numpy as np

from veil.errors import ProtocolError
from veil.frontier.points import FrontierPoint, loss_matrix
from veil.objectives import Objective

Standing = Literal["frontier", "tie", "beaten"]
"""A tie is off the frontier by no more than noise; see `veil.frontier.ties`."""


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


def ranked(
    points: Sequence[FrontierPoint], objectives: Sequence[Objective], ties: Collection[int] | None = None
) -> list[tuple[FrontierPoint, Standing]]:
    """Valid points with their standing: frontier, then ties, then the beaten, each group by its first objective.

    Args:
        points: all trials.
        objectives: axes.
        ties: numbers of the trials that tie with the frontier; None where that is not known.
    """
    best = frontier(points, objectives)
    on_frontier = {point.trial for point in best}
    others = [point for point in points if point.valid and point.trial not in on_frontier]
    others.sort(key=lambda point: (objectives[0].as_loss(point.interval(objectives[0].name).value), point.trial))
    rows: list[tuple[FrontierPoint, Standing]] = [(point, "frontier") for point in best]
    rows += [(point, "tie") for point in others if point.trial in (ties or ())]
    return rows + [(point, "beaten") for point in others if point.trial not in (ties or ())]
