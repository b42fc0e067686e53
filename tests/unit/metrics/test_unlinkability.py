"""D_sys against the published code and closed forms."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from veil.metrics.bootstrap import draw_multiplicities
from veil.metrics.permutation import permute_labels
from veil.metrics.unlinkability import bootstrap_d_sys, d_sys, permuted_d_sys


def published(mated, non_mated):
    """Gomez-Barrero's code as published, written out anew: densities, local measure, trapezoid over bin centres."""
    bins = min(len(mated) // 10, 100)
    edges = np.linspace(min(mated.min(), non_mated.min()), max(mated.max(), non_mated.max()), bins + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    density = np.histogram(mated, edges, density=True)[0]
    other = np.histogram(non_mated, edges, density=True)[0]
    ratio = np.divide(density, other, out=np.ones_like(density), where=other != 0)
    local = 2 * (ratio / (1 + ratio)) - 1
    local[ratio <= 1] = 0
    local[other == 0] = 1
    return np.trapezoid(local * density, centres)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5, 3.0])
def test_agrees_with_the_published_code(shift):
    rng = np.random.default_rng(0)
    mated, non_mated = rng.normal(shift, 1, size=3000), rng.normal(size=20_000)
    # The published trapezoid loses half of the two outermost bins, which hold few scores here.
    assert d_sys(mated, non_mated) == pytest.approx(published(mated, non_mated), abs=2e-3)


@pytest.mark.parametrize("shift", [1.0, 2.0])
def test_agrees_with_the_integral(shift):
    def integrand(s):
        p, q = norm.pdf(s - shift), norm.pdf(s)
        return max(p - q, 0) / (p + q) * p

    expected = quad(integrand, -10, 10 + shift, points=[shift / 2], limit=200)[0]
    rng = np.random.default_rng(1)
    mated, non_mated = rng.normal(shift, 1, size=200_000), rng.normal(size=200_000)
    assert d_sys(mated, non_mated) == pytest.approx(expected, abs=0.01)


def test_disjoint_scores_are_linkable_and_equal_ones_are_not():
    rng = np.random.default_rng(2)
    assert d_sys(rng.normal(50, 1, size=200), rng.normal(size=2000)) == 1.0
    assert d_sys(np.ones(100), np.zeros(500)) == 1.0, "scores piled up at the ends count in full"
    assert d_sys(np.full(100, 0.3), np.full(500, 0.3)) == 0.0
    assert d_sys(rng.normal(size=100_000), rng.normal(size=100_000)) < 0.02


def simulated(n_people=8, n_images=6, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    identities = np.repeat(np.arange(n_people), n_images)
    vectors = spread * rng.normal(size=(n_people, 5))[identities] + rng.normal(size=(identities.size, 5))
    gallery, probe = np.triu_indices(identities.size, k=1)
    return (vectors @ vectors.T)[gallery, probe], gallery, probe, identities


def test_bootstrap_equals_duplicating_people():
    scores, gallery, probe, identities = simulated()
    a, b = identities[gallery], identities[probe]
    multiplicities = draw_multiplicities(8, 6, seed=0)
    ours = bootstrap_d_sys(scores, a, b, multiplicities, bins=12)
    edges = np.linspace(scores.min(), scores.max(), 13)
    for value, row in zip(ours, multiplicities, strict=True):
        counts = np.where(a == b, row[a], row[a] * row[b]).astype(int)
        repeated, mated = np.repeat(scores, counts), np.repeat(a == b, counts)
        p = np.histogram(repeated[mated], edges)[0] / mated.sum()
        q = np.histogram(repeated[~mated], edges)[0] / (~mated).sum()
        expected = sum(x * (x - y) / (x + y) for x, y in zip(p, q, strict=True) if x > y)
        assert value == pytest.approx(expected)
    assert bootstrap_d_sys(scores, a, b, np.ones((1, 8)))[0] == pytest.approx(d_sys(scores[a == b], scores[a != b]))


@pytest.mark.parametrize("exchangeable", ["gallery", "probe", "both"])
def test_floor_equals_relabelling(exchangeable):
    scores, gallery, probe, identities = simulated()
    permuted = permute_labels(identities, 5, seed=1)
    ours = permuted_d_sys(scores, gallery, probe, identities, permuted, exchangeable, bins=10)
    for value, labels in zip(ours, permuted, strict=True):
        of_gallery = identities if exchangeable == "probe" else labels
        of_probe = identities if exchangeable == "gallery" else labels
        mated = of_gallery[gallery] == of_probe[probe]
        assert value == pytest.approx(d_sys(scores[mated], scores[~mated], bins=10))


def test_the_bias_of_a_small_sample_is_in_the_floor():
    """Without identity the estimate is not 0 but about its floor; with identity it stands far above."""
    for spread, linkable in ((0.0, False), (2.0, True)):
        scores, gallery, probe, identities = simulated(spread=spread, seed=3)
        mated = identities[gallery] == identities[probe]
        floor = permuted_d_sys(scores, gallery, probe, identities, permute_labels(identities, 200, 0), "both")
        assert floor.mean() > 0.02
        assert (d_sys(scores[mated], scores[~mated]) > np.quantile(floor, 0.99)) == linkable


def test_too_few_scores_are_refused():
    with pytest.raises(ValueError, match="2 bins"):
        d_sys(np.arange(19.0), np.arange(100.0))
    with pytest.raises(ValueError, match="non-mated"):
        d_sys(np.arange(30.0), [])
    with pytest.raises(ValueError, match="finite"):
        d_sys(np.r_[np.nan, np.arange(30.0)], np.arange(30.0))
