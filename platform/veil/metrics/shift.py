"""How far anonymization moves the similarities of one person's images."""

import numpy as np
from numpy.typing import NDArray

from veil.metrics.resampling import Floats, Ints

_MAX_CELLS = 4_000_000  # of one weight array: bounds memory to some 100 MB


def similarity_shift(reference: NDArray[np.floating], shifted: NDArray[np.floating]) -> float:
    """1-Wasserstein distance between two samples of similarities: the mean way that similarity has to move.

    Args:
        reference: (G,) genuine similarities, clear with clear.
        shifted: (H,) genuine similarities, clear with anonymized.

    Returns:
        At least 0, in the unit of the similarities; at most 2 for cosines.

    Raises:
        ValueError: a side is empty or a similarity is not finite.

    Source: Villani, "Optimal Transport" (2009); in one dimension it is the area between the distribution functions.

    >>> round(similarity_shift(np.array([0.8, 0.9]), np.array([0.2, 0.5])), 6)
    0.5
    """
    return float(_distances(reference, shifted, np.ones((1, reference.size)), np.ones((1, shifted.size)))[0])


def bootstrap_similarity_shift(
    reference: NDArray[np.floating],
    reference_identities: Ints,
    shifted: NDArray[np.floating],
    shifted_identities: Ints,
    multiplicities: Floats,
) -> Floats:
    """Similarity shift in each resample of the people; a genuine pair counts as often as its person.

    Args:
        reference: (G,) genuine similarities, clear with clear.
        reference_identities: (G,), person of each, in 0..n-1.
        shifted: (H,) genuine similarities, clear with anonymized.
        shifted_identities: (H,), person of each.
        multiplicities: (R, n), from `veil.metrics.bootstrap`.

    Returns:
        (R,); NaN in the resamples without a similarity on one side.

    >>> people = np.array([0, 1])
    >>> weights = np.array([[1.0, 1.0], [0.0, 2.0]])
    >>> bootstrap_similarity_shift(np.array([1.0, 1.0]), people, np.array([0.5, 0.75]), people, weights)
    array([0.375, 0.25 ])
    """
    rows_at_once = max(1, _MAX_CELLS // (reference.size + shifted.size))
    parts = [
        _distances(reference, shifted, rows[:, reference_identities], rows[:, shifted_identities])
        for rows in np.split(multiplicities, range(rows_at_once, len(multiplicities), rows_at_once))
    ]
    return np.concatenate(parts)


def _distances(
    reference: NDArray[np.floating], shifted: NDArray[np.floating], reference_weights: Floats, shifted_weights: Floats
) -> Floats:
    """Area between the weighted distribution functions; weights are (R, G) and (R, H)."""
    values = np.concatenate([reference, shifted]).astype(np.float64)
    if reference.size == 0 or shifted.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"expected finite similarities, found {reference.size} and {shifted.size}, some not finite")
    order = np.argsort(values, kind="stable")
    with np.errstate(invalid="ignore"):
        masses = np.concatenate(
            [
                reference_weights / reference_weights.sum(axis=1, keepdims=True),
                -shifted_weights / shifted_weights.sum(axis=1, keepdims=True),
            ],
            axis=1,
        )
    gaps = np.cumsum(masses[:, order], axis=1)[:, :-1]
    return np.abs(gaps) @ np.diff(values[order])
