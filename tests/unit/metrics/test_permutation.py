"""The chance floor against explicit relabelling."""

import numpy as np
import pytest

from veil.metrics.permutation import permute_labels, permuted_tar_at_far
from veil.metrics.verification import tar_at_far


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    identities = np.repeat(np.arange(6), 5)
    centres = rng.normal(size=(6, 8))
    clear = centres[identities] + 0.3 * rng.normal(size=(30, 8))
    noise = rng.normal(size=(30, 8))
    return identities, clear, noise


@pytest.mark.parametrize("exchangeable", ["gallery", "probe", "both"])
@pytest.mark.parametrize("tied", [False, True])
def test_equals_explicit_relabelling(people, exchangeable, tied):
    identities, clear, noise = people
    if exchangeable == "both":
        gallery, probe = np.triu_indices(30, k=1)
        scores = (noise @ noise.T)[gallery, probe]
    else:
        gallery, probe = np.nonzero(~np.eye(30, dtype=bool))
        scores = (clear @ noise.T)[gallery, probe]
    scores = np.round(scores) if tied else scores
    permuted = permute_labels(identities, 7, seed=1)
    ours = permuted_tar_at_far(scores, gallery, probe, identities, permuted, exchangeable, far=0.05)
    for value, labels in zip(ours, permuted, strict=True):
        of_gallery = identities if exchangeable == "probe" else labels
        of_probe = identities if exchangeable == "gallery" else labels
        genuine = of_gallery[gallery] == of_probe[probe]
        assert value == pytest.approx(tar_at_far(scores[genuine], scores[~genuine], 0.05), abs=1e-12)


def test_true_labels_of_noise_lie_inside_the_floor(people):
    identities, _, _ = people
    gallery, probe = np.triu_indices(30, k=1)
    genuine = identities[gallery] == identities[probe]
    permuted = permute_labels(identities, 200, seed=0)
    above = 0
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(size=(30, 8))
        scores = (noise @ noise.T)[gallery, probe]
        floor = permuted_tar_at_far(scores, gallery, probe, identities, permuted, "both", far=0.05)
        assert floor.mean() == pytest.approx(0.05, abs=0.02)
        above += tar_at_far(scores[genuine], scores[~genuine], 0.05) > np.quantile(floor, 0.95)
    assert above <= 6, "a 5 % test must reject noise in about 2 of 40 cases"


def test_permuting_keeps_the_number_of_images_a_person_has():
    identities = np.repeat([0, 1, 2], [2, 3, 7])
    permuted = permute_labels(identities, 20, seed=0)
    assert all(np.array_equal(np.bincount(row), [2, 3, 7]) for row in permuted)
    assert not np.array_equal(permuted[0], permuted[1])


def test_an_unknown_side_is_refused(people):
    identities, _, _ = people
    with pytest.raises(ValueError, match="exchangeable"):
        permuted_tar_at_far(np.zeros(1), np.array([0]), np.array([1]), identities, identities[None], "none", 0.1)
