"""Rank-k against brute force and random tie-breaking."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veil.metrics.identification import cmc, rank_k_by_gallery_size


def pairs(n_people, n_images):
    identities = np.repeat(np.arange(n_people), n_images)
    gallery, probe = np.nonzero(~np.eye(identities.size, dtype=bool))
    return identities, gallery, probe


@given(st.integers(2, 5), st.integers(2, 4), st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_equals_nearest_neighbour_ranking_without_ties(n_people, n_images, seed):
    identities, gallery, probe = pairs(n_people, n_images)
    matrix = np.random.default_rng(seed).normal(size=(identities.size,) * 2)
    ranks = []
    for image, person in enumerate(identities):
        best = [
            max(matrix[other, image] for other in np.flatnonzero(identities == candidate) if other != image)
            for candidate in range(n_people)
        ]
        ranks.append(1 + sum(score > best[person] for score in best))
    expected = [np.mean(np.array(ranks) <= k) for k in range(1, n_people + 1)]
    ours = cmc(matrix[gallery, probe], identities[gallery], probe, identities[probe])
    np.testing.assert_allclose(ours, expected)


def test_ties_give_the_mean_of_random_tie_breaking():
    identities, gallery, probe = pairs(4, 3)
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 3, size=gallery.size).astype(float)
    ours = cmc(scores, identities[gallery], probe, identities[probe])
    # Break ties between people, not between images: one tiny random bonus for each (person, probe).
    draws = []
    for _ in range(3000):
        bonus = rng.random((4, 12)) * 1e-6
        draws.append(cmc(scores + bonus[identities[gallery], probe], identities[gallery], probe, identities[probe]))
    np.testing.assert_allclose(ours, np.mean(draws, axis=0), atol=0.01)


def test_constant_score_is_chance():
    identities, gallery, probe = pairs(5, 4)
    curve = cmc(np.zeros(gallery.size), identities[gallery], probe, identities[probe])
    np.testing.assert_allclose(curve, np.arange(1, 6) / 5)


def test_probes_without_a_gallery_image_are_left_out():
    scores = np.array([0.9, 0.1, 0.8])
    gallery = np.array([0, 1, 0])
    curve = cmc(scores, gallery, probe_images=np.array([0, 0, 1]), probe_identities=np.array([0, 0, 7]))
    np.testing.assert_allclose(curve, [1.0, 1.0])
    with pytest.raises(ValueError, match="no probe"):
        cmc(scores, gallery, np.array([0, 0, 1]), np.array([7, 7, 7]))


def tied_comparisons(n_people, n_images, seed):
    identities, gallery, probe = pairs(n_people, n_images)
    scores = np.random.default_rng(seed).integers(0, 4, size=gallery.size) + 1.0 * (
        identities[gallery] == identities[probe]
    )
    return scores, identities[gallery], probe, identities[probe]


@given(st.integers(2, 6), st.integers(2, 3), st.integers(1, 6), st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_the_whole_gallery_gives_the_cmc(n_people, n_images, k, seed):
    comparisons = tied_comparisons(n_people, n_images, seed)
    found = rank_k_by_gallery_size(*comparisons, np.array([n_people]), k)
    assert found[0] == pytest.approx(cmc(*comparisons)[min(k, n_people) - 1])


@pytest.mark.parametrize("k", [1, 2, 3])
def test_smaller_galleries_equal_every_choice_of_rivals(k):
    n_people = 6
    scores, gallery, probe, person = tied_comparisons(n_people, 3, seed=1)
    for size in range(1, n_people + 1):
        rates = []
        for image in np.unique(probe):
            of_probe = probe == image
            own = person[of_probe][0]
            for rivals in combinations(np.setdiff1d(np.arange(n_people), own), size - 1):
                kept = of_probe & np.isin(gallery, [own, *rivals])
                rates.append(cmc(scores[kept], gallery[kept], probe[kept], person[kept])[min(k, size) - 1])
        found = rank_k_by_gallery_size(scores, gallery, probe, person, np.array([size]), k)
        assert found[0] == pytest.approx(np.mean(rates))


def test_random_galleries_of_many_people_agree():
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(60, 6))
    images = centres + 0.7 * rng.normal(size=(60, 6))
    scores = centres @ images.T  # one gallery and one probe image a person
    gallery, probe = (index.ravel() for index in np.indices((60, 60)))
    found = rank_k_by_gallery_size(scores.ravel(), gallery, probe, probe, np.array([5, 20]), 1)
    drawn = {5: [], 20: []}
    for _ in range(1500):
        order = rng.permutation(60)
        for size, hits in drawn.items():
            chosen = order[:size]
            hits.append(np.mean(scores[np.ix_(chosen, chosen)].argmax(axis=0) == np.arange(size)))
    np.testing.assert_allclose(found, [np.mean(drawn[5]), np.mean(drawn[20])], atol=0.01)
    assert found[0] > found[1], "more people are harder"


def test_galleries_that_were_not_measured_are_refused():
    comparisons = tied_comparisons(4, 2, seed=0)
    for sizes, k in (([5], 1), ([0], 1), ([2], 0)):
        with pytest.raises(ValueError, match="gallery sizes"):
            rank_k_by_gallery_size(*comparisons, np.array(sizes), k)
