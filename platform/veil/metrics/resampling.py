"""The kernel shared by bootstrap and permutation: TAR at a FAR under many weightings of the same scored pairs."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BLOCK_PAIRS = 1024
_MAX_CELLS = 4_000_000  # of one weight array: bounds memory to some 100 MB however many pairs are tied


def tar_replicates(
    scores: NDArray[np.floating],
    weigh: Callable[[Ints, Ints], tuple[Floats, Floats]],
    total_genuine: Floats,
    total_impostor: Floats,
    far: float,
) -> Floats:
    """TAR at FAR, ties split, for R weightings of P pairs, reading only as many top scores as the FAR needs.

    Pairs are sorted once. Blocks of whole tie groups are taken from the top; a replicate is finished as soon as its
    impostor weight passes `far` times its total, so the cost is R x (pairs above the threshold), not R x P.

    Args:
        scores: (P,), larger meaning more alike.
        weigh: maps pair indices (p,) and replicate indices (r,) to genuine and impostor weights, each (r, p),
            non-negative; a pair that is not genuine has genuine weight 0, and so on.
        total_genuine: (R,), sum of the genuine weights of each replicate.
        total_impostor: (R,), sum of the impostor weights.
        far: in (0, 1).

    Returns:
        (R,) in [0, 1]; NaN where a replicate holds no genuine or no impostor weight.
    """
    if not 0 < far < 1:
        raise ValueError(f"far must be in (0, 1), found {far}")
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    starts_group = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    group_start = np.flatnonzero(starts_group)
    group_of = np.cumsum(starts_group) - 1
    group_stop = np.append(group_start[1:], ordered.size)

    target = far * total_impostor
    # An allowed number of accepts that is whole must not fall short of itself by rounding.
    whole = np.round(target)
    target = np.where(np.abs(target - whole) < 1e-9 * np.maximum(total_impostor, 1.0), whole, target)

    tar = np.full(total_genuine.shape, np.nan)
    pending = np.flatnonzero((total_genuine > 0) & (total_impostor > 0))
    genuine_above = np.zeros(total_genuine.shape)
    impostor_above = np.zeros(total_genuine.shape)
    start = 0
    while start < ordered.size and pending.size:
        stop = int(group_stop[group_of[min(start + _BLOCK_PAIRS, ordered.size) - 1]])
        pairs = order[start:stop]
        rows_at_once = max(1, _MAX_CELLS // pairs.size)
        unfinished = []
        for first in range(0, pending.size, rows_at_once):
            rows = pending[first : first + rows_at_once]
            genuine, impostor = weigh(pairs, rows)
            # Column 0 is the state before the block, column c the state after c of its pairs.
            genuine_sums = np.empty((rows.size, pairs.size + 1))
            impostor_sums = np.empty((rows.size, pairs.size + 1))
            genuine_sums[:, 0], impostor_sums[:, 0] = genuine_above[rows], impostor_above[rows]
            np.cumsum(genuine, axis=1, out=genuine_sums[:, 1:])
            np.cumsum(impostor, axis=1, out=impostor_sums[:, 1:])
            genuine_sums[:, 1:] += genuine_above[rows, None]
            impostor_sums[:, 1:] += impostor_above[rows, None]

            passes = impostor_sums[:, -1] > target[rows]
            done = np.flatnonzero(passes)
            column = np.argmax(impostor_sums[done, 1:] > target[rows[done], None], axis=1)
            group = group_of[start + column]
            before, after = group_start[group] - start, group_stop[group] - start
            impostor_before, impostor_after = impostor_sums[done, before], impostor_sums[done, after]
            genuine_before, genuine_after = genuine_sums[done, before], genuine_sums[done, after]
            share = (target[rows[done]] - impostor_before) / (impostor_after - impostor_before)
            tar[rows[done]] = (genuine_before + share * (genuine_after - genuine_before)) / total_genuine[rows[done]]

            genuine_above[rows], impostor_above[rows] = genuine_sums[:, -1], impostor_sums[:, -1]
            unfinished.append(rows[~passes])
        pending = np.concatenate(unfinished)
        start = stop
    return tar
