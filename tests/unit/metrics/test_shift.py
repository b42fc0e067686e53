"""The shift of similarities against scipy and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from veil.metrics.bootstrap import draw_multiplicities
from veil.metrics.shift import bootstrap_similarity_shift, similarity_shift

similarities = st.lists(st.integers(-4, 4).map(lambda value: value / 4), min_size=1, max_size=20).map(np.array)


@given(similarities, similarities)
def test_is_scipys_wasserstein_distance(reference, shifted):
    assert similarity_shift(reference, shifted) == pytest.approx(wasserstein_distance(reference, shifted))


def test_a_translation_is_its_length_and_no_change_is_zero():
    reference = np.random.default_rng(0).normal(size=100)
    assert similarity_shift(reference, reference - 0.3) == pytest.approx(0.3)
    assert similarity_shift(reference, reference[::-1]) == pytest.approx(0.0, abs=1e-12)


def test_bootstrap_is_scipys_distance_of_duplicated_people(monkeypatch):
    rng = np.random.default_rng(1)
    owners, other_owners = rng.integers(0, 6, size=40), rng.integers(0, 6, size=70)
    reference, shifted = rng.normal(size=40), rng.normal(size=70) - 1
    multiplicities = draw_multiplicities(6, 11, seed=0)
    monkeypatch.setattr("veil.metrics.shift._MAX_CELLS", 400)  # several blocks
    ours = bootstrap_similarity_shift(reference, owners, shifted, other_owners, multiplicities)
    expected = [
        wasserstein_distance(
            np.repeat(reference, row[owners].astype(int)), np.repeat(shifted, row[other_owners].astype(int))
        )
        for row in multiplicities
    ]
    np.testing.assert_allclose(ours, expected)


@pytest.mark.parametrize(("reference", "shifted"), [([], [0.1]), ([0.1], []), ([np.nan], [0.1])])
def test_nothing_to_compare_is_refused(reference, shifted):
    with pytest.raises(ValueError, match="similarities"):
        similarity_shift(np.array(reference), np.array(shifted))
