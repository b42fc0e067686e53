"""Pair lists against brute force, and ties that rounding must not break."""

import numpy as np

from veil.protocol.pairs import cosine, ordered_pairs, unit, unordered_pairs


def test_pairs_leave_out_equal_sources_and_list_each_once():
    sources = np.array([3, 3, 1, 7, 1, 9])
    ordered = list(zip(*ordered_pairs(sources), strict=True))
    unordered = list(zip(*unordered_pairs(sources), strict=True))
    expected = [(i, j) for i in range(6) for j in range(6) if sources[i] != sources[j]]
    assert ordered == expected
    assert unordered == [(i, j) for i, j in expected if i < j]


def test_a_hundred_images_give_the_documented_numbers():
    sources = np.arange(100)
    assert ordered_pairs(sources).gallery.size == 9900
    assert unordered_pairs(sources).gallery.size == 4950


def test_cosine_of_equal_rows_is_exactly_tied_wherever_they_stand():
    rng = np.random.default_rng(0)
    row = rng.normal(size=193).astype(np.float32)
    scores = cosine(np.tile(row, (37, 1)), np.tile(row, (41, 1)))
    assert np.unique(scores).size == 1
    gallery = rng.normal(size=(37, 193)).astype(np.float32)
    assert all(np.unique(scores).size == 1 for scores in cosine(gallery, np.tile(row, (41, 1))))


def test_what_centring_leaves_of_equal_rows_has_no_direction():
    rows = np.tile(np.random.default_rng(1).normal(size=128).astype(np.float32), (80, 1)).astype(np.float64)
    left = unit(rows - rows.mean(axis=0))
    assert np.unique(cosine(left, left)).tolist() == [0.0]
