"""Which images are compared, and the similarity of two embeddings."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from veil.interfaces import AttackSet, Comparisons
from veil.metrics.permutation import Exchangeable

Ints = NDArray[np.int64]

DECIMALS = 9
"""Similarities are rounded to 1e-9: float64 products of equal embeddings differ by 1e-16 with their place in a matrix,
and an anonymizer that makes all images equal must give ties, not an order by rounding noise."""

PAIRS_AT_ONCE = 65536
"""Pairs that are held in memory together where each brings several images."""

SMALLEST_NORM = 1e-6
"""A vector shorter than this has no direction: what centring leaves of equal embeddings is rounding noise."""


class Pairs(NamedTuple):
    """Index pairs into the images of one set.

    Attributes:
        gallery: int (P,).
        probe: int (P,).
    """

    gallery: Ints
    probe: Ints


def ordered_pairs(sources: Ints) -> Pairs:
    """Every (gallery, probe) of different source images, both ways round: 9900 for 100 images.

    >>> ordered_pairs(np.array([5, 6, 6])).gallery
    array([0, 0, 1, 2])
    """
    return Pairs(*np.nonzero(sources[:, None] != sources[None, :]))


def unordered_pairs(sources: Ints) -> Pairs:
    """Every pair of different source images once, for a set compared with itself: 4950 for 100 images.

    >>> unordered_pairs(np.array([5, 6, 6])).probe
    array([1, 2])
    """
    return Pairs(*np.nonzero(np.triu(sources[:, None] != sources[None, :])))


def cosine(gallery_ND: NDArray[np.floating], probe_MD: NDArray[np.floating]) -> NDArray[np.float64]:
    """Cosine similarities (N, M) in [-1, 1], computed in float64 and rounded to 1e-9.

    >>> cosine(np.array([[3.0, 4.0]]), np.array([[3.0, 4.0], [4.0, 3.0]]))
    array([[1.  , 0.96]])
    """
    return np.round(unit(gallery_ND) @ unit(probe_MD).T, DECIMALS)


def unit(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows of (N, D) scaled to length 1 in float64; rows without direction stay near 0."""
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), SMALLEST_NORM)


def compare(
    name: str,
    people: AttackSet,
    gallery_ND: NDArray[np.floating],
    probe_ND: NDArray[np.floating],
    exchangeable: Exchangeable,
    diagnostics: dict[str, float] | None = None,
) -> Comparisons:
    """Compare all pairs of different source images of `people` by cosine.

    Args:
        name: path of the comparison in metric keys.
        people: whose images these are.
        gallery_ND: embeddings of the images as the gallery holds them.
        probe_ND: embeddings of the images as they are probed.
        exchangeable: side of the anonymized images. "both" says that gallery and probe are one set of renderings, so
            that each pair is taken once.
        diagnostics: what the attacker says of itself.
    """
    pairs = unordered_pairs(people.sources) if exchangeable == "both" else ordered_pairs(people.sources)
    return Comparisons(
        name=name,
        scores=cosine(gallery_ND, probe_ND)[pairs.gallery, pairs.probe],
        gallery_identities=people.identities[pairs.gallery],
        probe_identities=people.identities[pairs.probe],
        gallery_sources=people.sources[pairs.gallery],
        probe_sources=people.sources[pairs.probe],
        exchangeable=exchangeable,
        diagnostics=diagnostics or {},
    )
