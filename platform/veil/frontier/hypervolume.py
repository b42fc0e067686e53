"""Size of the region that a set of points dominates, up to a reference point that no data can move."""

from collections.abc import Sequence

import moocore
import numpy as np

from veil.frontier.dominance import check_no_nan
from veil.frontier.points import FrontierPoint, loss_matrix
from veil.objectives import Objective

BLOCKS = "▁▂▃▄▅▆▇█"


def hypervolume(losses: np.ndarray, reference: np.ndarray) -> float:
    """Lebesgue measure of the region dominated by `losses` and bounded by `reference`.

    Computed exactly by moocore (Fonseca, Paquete & López-Ibáñez, CEC 2006, and later algorithms for M = 3 and 4).

    Args:
        losses: float (N, M), smaller is better.
        reference: float (M,), the worst loss that still counts. A row that is not better than it in every column
            adds nothing.

    Returns:
        a value >= 0; 0 without rows; inf if a counting row holds -inf.

    Raises:
        ProtocolError: a value is NaN.

    >>> hypervolume(np.array([[0.25, -0.5], [0.5, -0.75]]), np.array([1.0, 0.0]))
    0.5
    """
    check_no_nan(losses)
    counting = losses[(losses < reference).all(axis=1)]
    if len(counting) == 0:
        return 0.0
    if np.isneginf(counting).any():
        return float("inf")
    return float(moocore.hypervolume(np.ascontiguousarray(counting), ref=reference))


def reference_losses(objectives: Sequence[Objective]) -> np.ndarray:
    """Reference point of the objectives as losses, float (M,)."""
    return np.array([objective.as_loss(objective.reference) for objective in objectives], dtype=np.float64)


def frontier_hypervolume(points: Sequence[FrontierPoint], objectives: Sequence[Objective]) -> float:
    """Hypervolume of the valid points with the objectives' own reference; in [0, 1] for leak and utility."""
    valid = [point for point in points if point.valid]
    return hypervolume(loss_matrix(valid, objectives), reference_losses(objectives))


def resampled_hypervolume(values_RNM: np.ndarray, objectives: Sequence[Objective]) -> np.ndarray:
    """Hypervolume of the frontier of N trials in each of R resamples of the people; the frontier is found anew in each.

    Args:
        values_RNM: objectives of each trial in each resample, which is the same for all trials.
        objectives: M axes.

    Returns:
        float (R,).
    """
    signs = np.array([objective.as_loss(1.0) for objective in objectives])
    reference = reference_losses(objectives)
    return np.array([hypervolume(values * signs, reference) for values in values_RNM])


def hypervolume_history(points: Sequence[FrontierPoint], objectives: Sequence[Objective]) -> list[float]:
    """Hypervolume after each trial, in order of trial numbers.

    Args:
        points: N points in any order; invalid ones count as trials that added nothing.
        objectives: axes.

    Returns:
        N values, never decreasing.
    """
    ordered = sorted(points, key=lambda point: point.trial)
    reference = reference_losses(objectives)
    counting = np.zeros((0, len(objectives)))
    history: list[float] = []
    current = 0.0
    for point in ordered:
        if point.valid:
            row = loss_matrix([point], objectives)
            if not (counting <= row).all(axis=1).any():
                # Rows that the new one beats can never count again, so a long study stays fast.
                counting = np.vstack([counting[~(row <= counting).all(axis=1)], row])
                current = hypervolume(counting, reference)
        history.append(current)
    return history


def sparkline(history: Sequence[float], width: int = 60) -> str:
    """Values that never decrease as a line of blocks, the last one full.

    >>> sparkline([0.0, 0.1, 0.1, 0.4])
    '▁▂▂█'
    """
    if not history or history[-1] <= 0:
        return ""
    picked = np.interp(np.linspace(0, len(history) - 1, min(len(history), width)), range(len(history)), history)
    return "".join(BLOCKS[int(value / history[-1] * (len(BLOCKS) - 1))] for value in picked)
