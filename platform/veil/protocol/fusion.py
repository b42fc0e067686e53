"""Attacks that pool evidence: several images of one person on each side, or several recognizers on one pair."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from veil.errors import ProtocolError
from veil.interfaces import AttackSet, Comparisons
from veil.metrics.permutation import Exchangeable
from veil.protocol.pairs import DECIMALS, PAIRS_AT_ONCE, ordered_pairs, unit, unordered_pairs

Ints = NDArray[np.int64]


def compare_fused(
    name: str,
    people: AttackSet,
    gallery_ND: NDArray[np.floating],
    probe_ND: NDArray[np.floating],
    exchangeable: Exchangeable,
    images: int,
    seed: int,
    diagnostics: dict[str, float] | None = None,
) -> Comparisons:
    """Compare templates: the mean embedding of several images of a person, as video and photo collections give them.

    Every pair of images of `compare` remains one pair, but each of its two images brings companions of the same person.
    The two templates of a genuine pair never share a source image. A person with fewer than 2 x `images` source images
    brings fewer companions, so that the other side is left as many.

    Args:
        name: path of the comparison in metric keys.
        people: whose images these are.
        gallery_ND: embeddings of the images as the gallery holds them.
        probe_ND: embeddings of the images as they are probed.
        exchangeable: side of the anonymized images, as in `compare`.
        images: largest number of images in a template, at least 2.
        seed: of the choice of companions.
        diagnostics: what the attacker says of itself.

    Raises:
        ValueError: `images` is below 2.
    """
    if images < 2:
        raise ValueError(f"fusion needs at least 2 images in a template, found {images}")
    pairs = unordered_pairs(people.sources) if exchangeable == "both" else ordered_pairs(people.sources)
    rng = np.random.default_rng(seed)
    gallery, probe = unit(gallery_ND), unit(probe_ND)
    scores = np.empty(pairs.gallery.size)
    gallery_rows, probe_rows = (np.empty((scores.size, images), np.int64) for _ in range(2))
    for start in range(0, scores.size, PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        chosen = _draw_templates(people, pairs.gallery[part], pairs.probe[part], images, rng)
        one, other = _template(gallery, chosen.gallery, chosen.sizes), _template(probe, chosen.probe, chosen.sizes)
        scores[part] = np.round((one * other).sum(axis=1), DECIMALS)
        gallery_rows[part], probe_rows[part] = chosen.gallery, chosen.probe
    return Comparisons(
        name=name,
        scores=scores,
        gallery_identities=people.identities[pairs.gallery],
        probe_identities=people.identities[pairs.probe],
        gallery_sources=people.sources[pairs.gallery],
        probe_sources=people.sources[pairs.probe],
        exchangeable=exchangeable,
        diagnostics=diagnostics or {},
        gallery_members=people.sources[gallery_rows],
        probe_members=people.sources[probe_rows],
    )


class _Templates(NamedTuple):
    """Image rows of the templates of P pairs, (P, M) each; beyond its size a template repeats its own image."""

    gallery: Ints
    probe: Ints
    sizes: Ints


def _template(embeddings: NDArray[np.float64], rows: Ints, sizes: Ints) -> NDArray[np.float64]:
    counts = (np.arange(rows.shape[1]) < sizes[:, None])[..., None]
    return unit((embeddings[rows] * counts).sum(axis=1))


def _draw_templates(people: AttackSet, gallery: Ints, probe: Ints, images: int, rng: np.random.Generator) -> _Templates:
    names, person = np.unique(people.identities, return_inverse=True)
    own = [_one_row_per_source(people, name) for name in names]
    table = np.full((names.size, max(rows.size for rows in own)), -1)
    for index, rows in enumerate(own):
        table[index, : rows.size] = rows
    # Both sides of a genuine pair draw from one person, so a template takes at most half of the sources.
    most = np.array([max(1, min(images, rows.size // 2)) for rows in own])
    sizes = np.minimum(most[person[gallery]], most[person[probe]])

    sides: list[Ints] = []
    taken = people.sources[np.stack([gallery, probe], axis=1)]
    for own_row in (gallery, probe):
        candidates = table[person[own_row]]
        sources = np.where(candidates >= 0, people.sources[candidates], -1)
        barred = (candidates < 0) | (sources[:, :, None] == taken[:, None, :]).any(axis=2)
        order = np.argsort(np.where(barred, np.inf, rng.random(candidates.shape)), axis=1)[:, : images - 1]
        companions = np.take_along_axis(candidates, order, axis=1)
        companions = np.pad(companions, ((0, 0), (0, images - 1 - companions.shape[1])), constant_values=-1)
        beyond = np.arange(1, images) >= sizes[:, None]
        rows = np.concatenate([own_row[:, None], np.where(beyond, own_row[:, None], companions)], axis=1)
        sides.append(rows)
        taken = np.concatenate([taken, people.sources[rows]], axis=1)
    return _Templates(sides[0], sides[1], sizes)


def _one_row_per_source(people: AttackSet, person: int) -> Ints:
    rows = np.flatnonzero(people.identities == person)
    return rows[np.unique(people.sources[rows], return_index=True)[1]]


def fuse_recognizers(name: str, by_recognizer: Sequence[Comparisons]) -> Comparisons:
    """One attack from the scores that several recognizers give to the same pairs: the mean of z-normalised scores.

    Scores are normalised by mean and standard deviation over all pairs, which an attacker knows without labels.

    Raises:
        ProtocolError: the recognizers compared different pairs.
    """
    first = by_recognizer[0]
    for other in by_recognizer[1:]:
        same = all(
            np.array_equal(getattr(first, side), getattr(other, side)) for side in ("gallery_sources", "probe_sources")
        )
        if not same:
            raise ProtocolError(f"attack {name!r} compared different pairs with different recognizers")
    normalised = [_standardised(item.scores) for item in by_recognizer]
    return replace(
        first,
        name=name,
        scores=np.asarray(np.round(np.mean(normalised, axis=0), DECIMALS)),
        diagnostics={"recognizers": float(len(by_recognizer))},
        reconstructions=None,
    )


def _standardised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = scores.std()
    return (scores - scores.mean()) / spread if spread > 1e-9 else np.zeros_like(scores)
