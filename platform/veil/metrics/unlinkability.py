"""Unlinkability of two anonymizations of one person: D_sys of ISO/IEC 30136, as ISO/IEC 24745 asks for.

At a score s, D(s) = max(LR - 1, 0) / (LR + 1) with the likelihood ratio LR = p(s | mated) / p(s | non-mated), and
D(s) = 1 where only mated scores occur; D_sys is its mean over mated scores, 0 where the two distributions are equal and
1 where they do not overlap. Both densities are histograms over the common range of the scores. With few scores the
histograms differ by chance, so the estimate is biased upwards, the more the more bins: read it against its floor under
permuted labels. Simulated with 8 to 20 people of 10 images, intervals over people cover a D_sys from 0.28 on in 93 to
97 % of the samples; near the floor (0.07 there) they lie above the truth.

Source: Gomez-Barrero, Galbally, Rathgeb, Busch, "General framework to evaluate unlinkability in biometric template
protection systems" (IEEE TIFS, 2018), with omega = 1, that is, equal priors. The published code integrates by the
trapezoid over bin centres, which counts the two outermost bins by half; here every bin counts in full, so that scores
piled up at an end are not lost.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veil.metrics.permutation import Exchangeable, genuine_pairs
from veil.metrics.resampling import Floats, Ints

_SCORES_PER_BIN = 10
_MAX_BINS = 100


def d_sys(mated: ArrayLike, non_mated: ArrayLike, bins: int | None = None) -> float:
    """Global linkability of two sets of scores.

    Args:
        mated: (G,) scores of two anonymized images of one person.
        non_mated: (I,) scores of anonymized images of two people.
        bins: of the histograms, at least 2; by default one for 10 mated scores, at most 100, as published.

    Returns:
        In [0, 1]; 0 for scores that are all equal.

    Raises:
        ValueError: a side is empty, a score is not finite, or there are too few mated scores for 2 bins.

    >>> d_sys([0.8, 0.9, 0.9, 1.0], [0.0, 0.1, 0.1, 0.2], bins=2)
    1.0
    >>> d_sys([0.0, 1.0], [0.0, 0.0, 1.0, 1.0], bins=2)
    0.0
    """
    mated, non_mated = np.ravel(mated), np.ravel(non_mated)
    if mated.size == 0 or non_mated.size == 0:
        raise ValueError(f"expected mated and non-mated scores, found {mated.size} and {non_mated.size}")
    columns, bins = _columns(np.concatenate([mated, non_mated]), mated.size, bins)
    counts = [np.bincount(part, minlength=bins) for part in (columns[: mated.size], columns[mated.size :])]
    return float(_linkability(counts[0][None], counts[1][None])[0])


def bootstrap_d_sys(
    scores: NDArray[np.floating],
    gallery_identities: Ints,
    probe_identities: Ints,
    multiplicities: Floats,
    bins: int | None = None,
) -> Floats:
    """D_sys in each resample of the people, with the bins of the whole sample.

    Args:
        scores: (P,) of pairs of anonymized images.
        gallery_identities: (P,), person of the gallery image, in 0..n-1.
        probe_identities: (P,), person of the probe image.
        multiplicities: (R, n), from `veil.metrics.bootstrap`; pairs weigh as they do there.
        bins: as for `d_sys`.

    Returns:
        (R,); NaN in the resamples that lack mated or non-mated pairs.

    >>> ids = np.repeat(np.arange(3), 2)
    >>> gallery, probe = ids[np.triu_indices(6, 1)[0]], ids[np.triu_indices(6, 1)[1]]
    >>> bootstrap_d_sys((gallery == probe) * 1.0, gallery, probe, np.array([[1.0, 1, 1], [2, 1, 0]]), bins=2)
    array([1., 1.])
    """
    is_mated = gallery_identities == probe_identities
    columns, bins = _columns(scores, int(is_mated.sum()), bins)
    n = multiplicities.shape[1]
    people = np.bincount(columns[is_mated] * n + gallery_identities[is_mated], minlength=bins * n).reshape(bins, n)
    cells = (columns[~is_mated] * n + gallery_identities[~is_mated]) * n + probe_identities[~is_mated]
    pairs = np.bincount(cells, minlength=bins * n * n).reshape(bins, n, n)
    # Bin by bin, because all bins at once would hold replicates x people x bins numbers.
    non_mated = np.stack([((multiplicities @ counts) * multiplicities).sum(axis=1) for counts in pairs], axis=1)
    return _linkability(multiplicities @ people.T, non_mated)


def permuted_d_sys(
    scores: NDArray[np.floating],
    gallery_images: Ints,
    probe_images: Ints,
    identities: Ints,
    permuted: Ints,
    exchangeable: Exchangeable,
    bins: int | None = None,
) -> Floats:
    """D_sys under each permutation of the labels of the anonymized images: what chance and the small sample make of it.

    Args:
        scores: (P,), larger meaning more alike.
        gallery_images: (P,), index of the gallery image, in 0..N-1.
        probe_images: (P,), index of the probe image.
        identities: (N,), true labels.
        permuted: (M, N), from `permute_labels`.
        exchangeable: side that holds the anonymized images; "both" if one set is compared with itself.
        bins: as for `d_sys`, by the true labels.

    Returns:
        (M,); NaN where a permutation leaves no mated pair.

    >>> gallery, probe = np.triu_indices(12, k=1)
    >>> identities = np.repeat(np.arange(3), 4)
    >>> permuted = np.stack([identities, identities[::-1]])
    >>> permuted_d_sys(np.zeros(66), gallery, probe, identities, permuted, "both", bins=4)
    array([0., 0.])
    """
    n_mated = int((identities[gallery_images] == identities[probe_images]).sum())
    columns, bins = _columns(scores, n_mated, bins)
    total = np.bincount(columns, minlength=bins)
    mated = np.array(
        [
            np.bincount(
                columns[genuine_pairs(gallery_images, probe_images, identities, labels[None], exchangeable)[0]],
                minlength=bins,
            )
            for labels in permuted
        ]
    )
    return _linkability(mated, total - mated)


def _columns(scores: NDArray[np.floating], n_mated: int, bins: int | None) -> tuple[Ints, int]:
    """Bin of each score, and the number of bins."""
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    if bins is None:
        bins = min(n_mated // _SCORES_PER_BIN, _MAX_BINS)
    if bins < 2:
        raise ValueError(
            f"D_sys needs at least 2 bins, which takes {2 * _SCORES_PER_BIN} mated scores; found {n_mated} scores and "
            f"{bins} bins"
        )
    edges = np.linspace(scores.min(), scores.max(), bins + 1)
    return np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, bins - 1), bins


def _linkability(mated: NDArray[np.number], non_mated: NDArray[np.number]) -> Floats:
    """D_sys of histograms (R, bins), by rows; NaN where one is empty."""
    with np.errstate(invalid="ignore"):
        p = mated / mated.sum(axis=1, keepdims=True)
        q = non_mated / non_mated.sum(axis=1, keepdims=True)
    # (LR - 1) / (LR + 1) = (p - q) / (p + q), which is 1 where q = 0.
    link = np.divide(np.maximum(p - q, 0), p + q, out=np.zeros_like(p), where=p + q != 0)
    # A sum of shares may exceed 1 by rounding.
    return np.minimum((p * link).sum(axis=1), 1.0)
