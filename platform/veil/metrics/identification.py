"""One-to-many identification: rank-k rates and the cumulative match characteristic, expected under random ties."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from veil.metrics.resampling import Floats, Ints


def cmc(
    scores: NDArray[np.floating],
    gallery_identities: Ints,
    probe_images: Ints,
    probe_identities: Ints,
) -> Floats:
    """Share of probes whose person is among the k best of the gallery, for k = 1..n people.

    A person's score for a probe is that of their best gallery image. Ties are broken at random and the expected value
    is returned: with g people strictly better and t tied, the true one is among the first k with probability
    (k - g) / (t + 1), clipped to [0, 1]. A constant score therefore gives rank-1 = 1/n, not 0 and not 1. Taking the
    best of several gallery images favours people with more of them; a person whose probe image is left out of their
    own gallery has one fewer, so chance is slightly below 1/n for scores without ties.

    Args:
        scores: (P,) of (gallery image, probe image) pairs, which never share a source image.
        gallery_identities: (P,), person of the gallery image.
        probe_images: (P,), index of the probe image.
        probe_identities: (P,), person of the probe image.

    Returns:
        (n,) rising to 1, over the n people of the gallery. Probes whose person has no gallery image are left out.

    Raises:
        ValueError: no probe has its person in the gallery.

    >>> scores = np.array([0.9, 0.1, 0.4, 0.4])
    >>> cmc(scores, np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]))
    array([0.75, 1.  ])
    """
    better, tied, n = _rivals(scores, gallery_identities, probe_images, probe_identities)
    ranks = np.arange(1, n + 1)[None, :]
    return np.clip((ranks - better[:, None]) / (tied[:, None] + 1), 0.0, 1.0).mean(axis=0)


def rank_k_by_gallery_size(
    scores: NDArray[np.floating],
    gallery_identities: Ints,
    probe_images: Ints,
    probe_identities: Ints,
    sizes: Ints,
    k: int,
) -> Floats:
    """Expected rank-k rate where the gallery holds the true person and g - 1 others drawn at random from the n people.

    Of n - 1 rivals, m are ahead of the true person; how many of them are among the g - 1 drawn is hypergeometric, and
    the probe is a hit if fewer than k are. Tied rivals are put ahead or behind at random. With g = n this is
    `cmc(...)[k - 1]`. It can be read for smaller galleries than the measured one, never for larger ones.

    Args:
        scores: (P,) of (gallery image, probe image) pairs, which never share a source image.
        gallery_identities: (P,), person of the gallery image.
        probe_images: (P,), index of the probe image.
        probe_identities: (P,), person of the probe image.
        sizes: (S,) gallery sizes g in people, in 1..n.
        k: rank, at least 1.

    Returns:
        (S,) in [0, 1].

    Raises:
        ValueError: a size is not in 1..n, k is below 1, or no probe has its person in the gallery.

    >>> gallery, probe = np.tile(np.arange(4), 4), np.repeat(np.arange(4), 4)
    >>> rank_k_by_gallery_size(np.zeros(16), gallery, probe, probe, np.array([1, 2, 4]), k=1)
    array([1.  , 0.5 , 0.25])
    """
    better, tied, n = _rivals(scores, gallery_identities, probe_images, probe_identities)
    sizes = np.asarray(sizes)
    if k < 1 or ((sizes < 1) | (sizes > n)).any():
        raise ValueError(f"expected k >= 1 and gallery sizes in 1..{n} people, found k = {k} and sizes {sizes}")
    ahead = np.arange(n)
    hit = hypergeom.cdf(k - 1, n - 1, ahead[None, :], sizes[:, None] - 1)
    # A probe with b better and t tied rivals has b, ..., b + t of them ahead, equally likely.
    summed = np.concatenate([np.zeros((sizes.size, 1)), np.cumsum(hit, axis=1)], axis=1)
    return ((summed[:, better + tied + 1] - summed[:, better]) / (tied + 1)).mean(axis=1)


def _rivals(
    scores: NDArray[np.floating], gallery_identities: Ints, probe_images: Ints, probe_identities: Ints
) -> tuple[Ints, Ints, int]:
    """For each probe with its person in the gallery: rivals strictly better, rivals tied; and the number of people."""
    people, columns = np.unique(gallery_identities, return_inverse=True)
    probes, first, rows = np.unique(probe_images, return_index=True, return_inverse=True)
    best = np.full((probes.size, people.size), -np.inf)
    np.maximum.at(best, (rows, columns), scores)

    own = probe_identities[first]
    own_column = np.minimum(np.searchsorted(people, own), people.size - 1)
    own_score = best[np.arange(probes.size), own_column]
    enrolled = (people[own_column] == own) & np.isfinite(own_score)
    if not enrolled.any():
        raise ValueError("no probe has its person in the gallery")
    best, own_score = best[enrolled], own_score[enrolled, None]
    better = (best > own_score).sum(axis=1)
    tied = (best == own_score).sum(axis=1) - 1  # not the person themselves
    return better, tied, people.size
