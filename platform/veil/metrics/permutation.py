"""Chance floor: what TAR at FAR would read if the anonymized images carried no identity.

Under that hypothesis the anonymized images of the target people are exchangeable: which of them belongs to whom could
be dealt out again without changing the joint distribution of anything an attacker sees. So the identity labels of the
anonymized images, and only theirs, are permuted, one label an image, while clear images keep their labels and thereby
their clusters by person. Where both sides are the same anonymized set, one permutation relabels both sides at once.
The whole distribution over permutations is kept, so the floor has a mean and an upper percentile, and one permutation
serves all rungs, so that their maximum has a floor too.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from veil.metrics.resampling import Floats, Ints, tar_replicates

Exchangeable = Literal["gallery", "probe", "both"]


def permute_labels(identities: Ints, permutations: int, seed: int) -> Ints:
    """Identity labels of N images dealt out at random, once a row.

    Returns:
        (M, N); each row holds the same labels.

    >>> permute_labels(np.array([0, 0, 1, 1]), 2, seed=1)
    array([[0, 0, 1, 1],
           [1, 0, 1, 0]])
    """
    generator = np.random.default_rng(seed)
    return generator.permuted(np.tile(identities, (permutations, 1)), axis=1)


def genuine_pairs(
    gallery_images: Ints, probe_images: Ints, identities: Ints, permuted: Ints, exchangeable: Exchangeable
) -> NDArray[np.bool_]:
    """Which pairs count as one person under each permutation of the labels of the anonymized images.

    Args:
        gallery_images: (P,), index of the gallery image, in 0..N-1.
        probe_images: (P,), index of the probe image.
        identities: (N,), true labels, which clear images keep.
        permuted: (M, N), from `permute_labels`.
        exchangeable: side that holds the anonymized images; "both" if one set is compared with itself.

    Returns:
        (M, P).

    >>> genuine_pairs(np.array([0]), np.array([1]), np.array([0, 0, 1]), np.array([[0, 0, 1], [0, 1, 0]]), "probe")
    array([[ True],
           [False]])
    """
    if exchangeable not in ("gallery", "probe", "both"):
        raise ValueError(f"exchangeable must be 'gallery', 'probe' or 'both', found {exchangeable!r}")
    of_gallery = identities[gallery_images] if exchangeable == "probe" else permuted[:, gallery_images]
    of_probe = identities[probe_images] if exchangeable == "gallery" else permuted[:, probe_images]
    return of_gallery == of_probe


def permuted_tar_at_far(
    scores: NDArray[np.floating],
    gallery_images: Ints,
    probe_images: Ints,
    identities: Ints,
    permuted: Ints,
    exchangeable: Exchangeable,
    far: float,
) -> Floats:
    """TAR at FAR, ties split, under each permutation of the labels of the anonymized images.

    Args:
        scores: (P,), larger meaning more alike.
        gallery_images: (P,), index of the gallery image, in 0..N-1.
        probe_images: (P,), index of the probe image.
        identities: (N,), true labels.
        permuted: (M, N), from `permute_labels`.
        exchangeable: side that holds the anonymized images; "both" if one set is compared with itself.
        far: in (0, 1), measured on the impostors under the same permutation.

    Returns:
        (M,); NaN where a permutation leaves no genuine pair.

    >>> identities = np.repeat(np.arange(3), 4)
    >>> gallery, probe = np.triu_indices(12, k=1)
    >>> permuted = permute_labels(identities, 2, seed=0)
    >>> permuted_tar_at_far(np.zeros(66), gallery, probe, identities, permuted, "both", far=0.1).round(3)
    array([0.1, 0.1])
    """

    def weigh(pairs: Ints, rows: Ints) -> tuple[Floats, Floats]:
        genuine = genuine_pairs(gallery_images[pairs], probe_images[pairs], identities, permuted[rows], exchangeable)
        return genuine.astype(np.float64), (~genuine).astype(np.float64)

    total_genuine = np.array(
        [
            genuine_pairs(gallery_images, probe_images, identities, labels[None], exchangeable).sum()
            for labels in permuted
        ],
        dtype=np.float64,
    )
    return tar_replicates(scores, weigh, total_genuine, scores.size - total_genuine, far)
