"""Rank-k against brute force and random tie-breaking."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veil.metrics.identification import cmc


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
