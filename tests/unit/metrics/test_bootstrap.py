"""The identity bootstrap against explicit resampling, and its speed."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veil.metrics.bootstrap import bootstrap_mean, bootstrap_tar_at_far, draw_multiplicities, leave_one_out
from veil.metrics.intervals import percentile_interval
from veil.metrics.verification import tar_at_far


def all_pairs(n_people, n_images):
    identities = np.repeat(np.arange(n_people), n_images)
    gallery, probe = np.triu_indices(identities.size, k=1)
    return identities[gallery], identities[probe]


def explicit_resample(scores, gallery, probe, multiplicity, far):
    """TAR at FAR after really duplicating people: copies of one person are not impostors of each other."""
    genuine = gallery == probe
    counts = np.where(genuine, multiplicity[gallery], multiplicity[gallery] * multiplicity[probe]).astype(int)
    return tar_at_far(np.repeat(scores[genuine], counts[genuine]), np.repeat(scores[~genuine], counts[~genuine]), far)


@given(st.integers(2, 6), st.integers(2, 5), st.sampled_from([0.01, 0.1, 0.3]), st.booleans(), st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_weights_equal_explicit_duplication_of_people(n_people, n_images, far, tied, seed):
    rng = np.random.default_rng(seed)
    gallery, probe = all_pairs(n_people, n_images)
    scores = rng.normal(size=gallery.size) + (gallery == probe)
    if tied:
        scores = np.round(scores)
    multiplicities = draw_multiplicities(n_people, 5, seed)
    ours = bootstrap_tar_at_far(scores, gallery, probe, multiplicities, far)
    reference = [explicit_resample(scores, gallery, probe, row, far) for row in multiplicities]
    np.testing.assert_allclose(ours, reference, atol=1e-12)


def test_blocks_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(1)
    gallery, probe = all_pairs(8, 6)
    scores = np.round(rng.normal(size=gallery.size) + (gallery == probe), 1)
    multiplicities = draw_multiplicities(8, 50, 0)
    expected = bootstrap_tar_at_far(scores, gallery, probe, multiplicities, 0.3)
    monkeypatch.setattr("veil.metrics.resampling._BLOCK_PAIRS", 3)
    monkeypatch.setattr("veil.metrics.resampling._MAX_CELLS", 100)
    np.testing.assert_array_equal(bootstrap_tar_at_far(scores, gallery, probe, multiplicities, 0.3), expected)


def test_undrawn_weights_reproduce_the_point_estimate():
    rng = np.random.default_rng(2)
    gallery, probe = all_pairs(10, 10)
    scores = rng.normal(size=gallery.size) + 2 * (gallery == probe)
    genuine = gallery == probe
    ones = np.ones((1, 10))
    assert bootstrap_tar_at_far(scores, gallery, probe, ones, 0.01)[0] == tar_at_far(
        scores[genuine], scores[~genuine], 0.01
    )


def test_constant_score_has_no_spread_about_the_far():
    gallery, probe = all_pairs(10, 10)
    replicates = bootstrap_tar_at_far(np.zeros(gallery.size), gallery, probe, draw_multiplicities(10, 100, 0), 0.01)
    np.testing.assert_allclose(replicates, 0.01)


def test_resamples_are_paired_and_reproducible():
    first, second = draw_multiplicities(10, 200, seed=3), draw_multiplicities(10, 200, seed=3)
    np.testing.assert_array_equal(first, second)
    assert (first.sum(axis=1) == 10).all()
    assert (draw_multiplicities(2, 500, seed=0) > 0).all(), "one person alone has no impostors"
    with pytest.raises(ValueError, match="2 people"):
        draw_multiplicities(1, 10, 0)


def test_interval_is_wider_than_a_pair_bootstrap_would_claim():
    """Scores of one person move together: the interval must reflect 10 people, not 4950 pairs."""
    rng = np.random.default_rng(4)
    gallery, probe = all_pairs(10, 10)
    ease = rng.normal(size=10) * 2  # some people are easy, some are hard
    genuine = gallery == probe
    scores = rng.normal(size=gallery.size) + genuine * (2.5 + ease[gallery])
    low, high = percentile_interval(bootstrap_tar_at_far(scores, gallery, probe, draw_multiplicities(10, 500, 0), 0.01))
    tar = tar_at_far(scores[genuine], scores[~genuine], 0.01)
    binomial = 2 * 1.96 * np.sqrt(tar * (1 - tar) / genuine.sum())
    assert low < tar < high
    assert high - low > 3 * binomial


def test_bootstrap_mean_is_the_mean_of_duplicated_people():
    rng = np.random.default_rng(5)
    identities = np.repeat(np.arange(5), [2, 3, 4, 5, 6])
    values = rng.random(identities.size)
    multiplicities = draw_multiplicities(5, 20, 0)
    expected = [np.repeat(values, row[identities].astype(int)).mean() for row in multiplicities]
    np.testing.assert_allclose(bootstrap_mean(values, identities, multiplicities), expected)


def test_interval_leaves_out_undefined_replicates_but_not_many():
    assert percentile_interval(np.r_[np.full(10, np.nan), np.full(90, 0.5)]) == (0.5, 0.5)
    with pytest.raises(ValueError, match="defined"):
        percentile_interval(np.r_[np.full(60, np.nan), np.full(40, 0.5)])


def test_leaving_a_person_out_is_the_estimate_from_the_others():
    rng = np.random.default_rng(6)
    gallery, probe = all_pairs(5, 6)
    scores = rng.normal(size=gallery.size) + (gallery == probe)
    ours = bootstrap_tar_at_far(scores, gallery, probe, leave_one_out(5), 0.05)
    for person, value in enumerate(ours):
        kept = (gallery != person) & (probe != person)
        genuine = gallery == probe
        assert value == pytest.approx(tar_at_far(scores[kept & genuine], scores[kept & ~genuine], 0.05))


def test_six_rungs_of_ten_people_take_about_a_second():
    rng = np.random.default_rng(7)
    gallery, probe = all_pairs(11, 10)  # 5995 pairs
    multiplicities = draw_multiplicities(11, 1000, 0)
    scores = rng.normal(size=(6, gallery.size)) + (gallery == probe)
    start = time.perf_counter()
    for row in scores:
        bootstrap_tar_at_far(row, gallery, probe, multiplicities, 0.01)
    assert time.perf_counter() - start < 3.0  # measured 0.4 s on one core; room for a busy machine
