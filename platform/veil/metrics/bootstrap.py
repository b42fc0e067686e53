"""Bootstrap over identities: people are resampled, never pairs or images, because pairs of one person move together.

With n people drawn with replacement, person a occurs w_a times. A genuine pair of a then counts w_a times, an impostor
pair of a and b w_a * w_b times; two copies of one original person are never impostors of each other. The same
multiplicities serve every rung and every trial that has the same people and seed, so differences between them are
paired and far narrower than two separate intervals suggest.

Leaving each person out once is a weighting too (`leave_one_out`), so every function here also gives the jackknife
values that the intervals of `veil.metrics.intervals` rest on.

Source: Bolle, Ratha, Pankanti, "Error analysis of pattern recognition systems: the subsets bootstrap" (2004).
"""

import numpy as np
from numpy.typing import NDArray

from veil.metrics.resampling import Floats, Ints, tar_replicates


def draw_multiplicities(n_identities: int, replicates: int, seed: int) -> Floats:
    """How often each person occurs in each resample; equal arguments give equal resamples.

    A resample of fewer than two distinct people has no impostor pair and is drawn again.

    Returns:
        (R, n) whole numbers; each row sums to n.

    Raises:
        ValueError: fewer than two people.

    >>> draw_multiplicities(4, 2, seed=0)
    array([[1., 0., 0., 3.],
           [0., 2., 2., 0.]])
    """
    if n_identities < 2:
        raise ValueError(f"a bootstrap over identities needs at least 2 people, found {n_identities}")
    generator = np.random.default_rng(seed)
    shares = np.full(n_identities, 1.0 / n_identities)
    multiplicities = generator.multinomial(n_identities, shares, size=replicates)
    while (degenerate := np.flatnonzero((multiplicities > 0).sum(axis=1) < 2)).size:
        multiplicities[degenerate] = generator.multinomial(n_identities, shares, size=degenerate.size)
    return multiplicities.astype(np.float64)


def leave_one_out(n_identities: int) -> Floats:
    """The n samples that lack one person each, as multiplicities.

    Returns:
        (n, n) of 0 and 1; row i leaves person i out.

    >>> leave_one_out(3)
    array([[0., 1., 1.],
           [1., 0., 1.],
           [1., 1., 0.]])
    """
    return 1.0 - np.eye(n_identities)


def bootstrap_tar_at_far(
    scores: NDArray[np.floating],
    gallery_identities: Ints,
    probe_identities: Ints,
    multiplicities: Floats,
    far: float,
) -> Floats:
    """TAR at FAR, ties split, in each resample of the people.

    Args:
        scores: (P,), larger meaning more alike.
        gallery_identities: (P,), person of the gallery image, in 0..n-1.
        probe_identities: (P,), person of the probe image.
        multiplicities: (R, n), from `draw_multiplicities`.
        far: in (0, 1), measured on the impostors of the same resample.

    Returns:
        (R,); NaN in the resamples that hold no genuine pair.

    >>> ids = np.array([0, 1, 2])
    >>> gallery, probe = np.repeat(ids, 3), np.tile(ids, 3)
    >>> bootstrap_tar_at_far((gallery == probe) * 1.0, gallery, probe, draw_multiplicities(3, 4, 0), far=0.1)
    array([1., 1., 1., 1.])
    """
    is_genuine = gallery_identities == probe_identities
    n = multiplicities.shape[1]
    genuine_counts = np.bincount(gallery_identities[is_genuine], minlength=n)
    impostor_counts = np.bincount(
        gallery_identities[~is_genuine] * n + probe_identities[~is_genuine], minlength=n * n
    ).reshape(n, n)

    def weigh(pairs: Ints, rows: Ints) -> tuple[Floats, Floats]:
        gallery = multiplicities[np.ix_(rows, gallery_identities[pairs])]
        probe = multiplicities[np.ix_(rows, probe_identities[pairs])]
        genuine = is_genuine[pairs]
        return gallery * genuine, gallery * probe * ~genuine

    return tar_replicates(
        scores,
        weigh,
        total_genuine=multiplicities @ genuine_counts,
        total_impostor=((multiplicities @ impostor_counts) * multiplicities).sum(axis=1),
        far=far,
    )


def bootstrap_mean(values: NDArray[np.floating], identities: Ints, multiplicities: Floats) -> Floats:
    """Mean of one value per image in each resample of the people.

    Args:
        values: (N,), one per image.
        identities: (N,), person of each image, in 0..n-1.
        multiplicities: (R, n).

    Returns:
        (R,).

    >>> bootstrap_mean(np.array([0.0, 1.0, 1.0]), np.array([0, 1, 1]), np.array([[1.0, 1.0], [0.0, 2.0]]))
    array([0.66666667, 1.        ])
    """
    n = multiplicities.shape[1]
    sums = np.bincount(identities, weights=values, minlength=n)
    counts = np.bincount(identities, minlength=n)
    return (multiplicities @ sums) / (multiplicities @ counts)
