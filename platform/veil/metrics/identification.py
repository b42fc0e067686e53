"""One-to-many identification: the cumulative match characteristic, expected under random tie-breaking."""

import numpy as np
from numpy.typing import NDArray

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
    better = (best > own_score).sum(axis=1)[:, None]
    tied = (best == own_score).sum(axis=1)[:, None]  # counts the person themselves, hence t + 1
    ranks = np.arange(1, people.size + 1)[None, :]
    return np.clip((ranks - better) / tied, 0.0, 1.0).mean(axis=0)
