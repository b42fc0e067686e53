"""Multi-objective asynchronous successive halving: which trials of a rung are worth more training."""

from typing import NamedTuple

import moocore
import numpy as np

from veil.frontier.dominance import check_no_nan


class Place(NamedTuple):
    """Where a trial stands among those that have reached its rung so far.

    Attributes:
        rank: 1 is the best.
        of: trials of the rung, this one among them.
    """

    rank: int
    of: int

    def goes_on(self, eta: float) -> bool:
        """Whether at most the best 1/eta of the rung are better; the first trial of a rung always goes on.

        >>> [Place(2, of).goes_on(3) for of in (2, 3, 4)]
        [False, True, True]
        """
        return (self.rank - 1) * eta <= self.of


def last_place(losses: np.ndarray) -> Place:
    """Place of the trial that has reached a rung last; nothing waits for those that will come.

    Args:
        losses: float (N, M), smaller is better, columns of one scale, in order of arrival; N >= 1.

    Raises:
        ProtocolError: a value is NaN.

    >>> last_place(np.array([[0.2, 0.8], [0.8, 0.2], [0.9, 0.9], [0.5, 0.5]]))
    Place(rank=3, of=4)
    """
    order = halving_order(losses)
    return Place(int(np.flatnonzero(order == len(losses) - 1)[0]) + 1, len(losses))


def halving_order(losses: np.ndarray) -> np.ndarray:
    """Rows from the best to the worst: front after front, each front from its ends inwards.

    The rows that no other dominates come first, then those that only they dominate, and so on (non-dominated sorting).
    Within a front an epsilon-net spreads them out: the row with the smallest first loss, then always the row that is
    farthest from those already taken, so that the first few rows stand for the whole front.

    Source: Schmucker, Donini, Zafar, Salinas & Archambeau, Multi-objective Asynchronous Successive Halving, 2021
    (arXiv:2106.12639); epsilon-nets: Clarkson, Nearest-Neighbor Searching and Metric Space Dimensions, 2006.

    Args:
        losses: float (N, M), smaller is better, columns of one scale.

    Returns:
        int (N,), indices of the rows; of equal rows the earlier comes first; (0,) without rows.

    Raises:
        ProtocolError: a value is NaN.

    >>> halving_order(np.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.9], [0.8, 0.2]]))
    array([1, 3, 0, 2])
    """
    check_no_nan(losses)
    if len(losses) == 0:
        return np.zeros(0, dtype=np.int64)
    fronts = moocore.pareto_rank(np.ascontiguousarray(losses, dtype=np.float64))
    rows = [np.flatnonzero(fronts == front) for front in range(fronts.max() + 1)]
    return np.concatenate([front[_epsilon_net(losses[front])] for front in rows])


def _epsilon_net(losses: np.ndarray) -> np.ndarray:
    order = [int(losses[:, 0].argmin())]
    distances = np.full(len(losses), np.inf)
    while len(order) < len(losses):
        distances = np.minimum(distances, np.linalg.norm(losses - losses[order[-1]], axis=1))
        distances[order] = -1.0
        order.append(int(distances.argmax()))
    return np.array(order)
