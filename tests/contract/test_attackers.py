"""What every attacker must keep; those that train nets with a strength that takes seconds, the others by default."""

import copy

import numpy as np
import pytest
import torch
from attack_sets import ColourRecognizer, image_setting, pattern_faces

from veil.config import Settings
from veil.protocol.guards import check_comparisons
from veil.registry import attackers

QUICK = {
    "informed": {"epochs": 60, "learning_rate": 0.03},
    "finetuned": {"seeds": 2, "epochs": 2, "learning_rate": 0.02},
    "reversal": {"images": 160, "width": 4, "learning_rate": 3e-3, "identity_share": 0.2},
}


def partly_hidden(faces):
    generator = torch.Generator().manual_seed(0)
    return (0.5 * faces.images + 0.1 * torch.randn(faces.images.shape, generator=generator)).clamp(-1, 1)


@pytest.fixture(scope="module")
def setting():
    return image_setting(partly_hidden, ColourRecognizer(), pattern_faces({"attacker": 6, "search": 10}))


@pytest.fixture(scope="module", params=attackers.names())
def name(request):
    return request.param


@pytest.fixture(scope="module")
def attacker(name):
    return attackers.get(name)


@pytest.fixture(scope="module")
def attack(name, attacker):
    """The attacker at its quick strength."""
    return attacker(attacker.Config(**QUICK.get(name, {})))


@pytest.fixture(scope="module")
def results(attack, setting):
    return attack(setting)


def test_says_its_rung_and_its_strength(attacker):
    assert attacker.rung in {f"A{level}" for level in range(7)}
    assert issubclass(attacker.Config, Settings)
    assert isinstance(attacker.ensembles, bool)
    assert attacker.__doc__


def test_the_default_suite_finds_all_its_attackers():
    assert {"control", "naive", "reverse", "parrot", "informed", "finetuned", "reversal"} <= set(attackers.names())


def test_comparisons_pass_the_guards_at_ten_people_of_ten_images(results):
    assert results
    for comparisons in results:
        check_comparisons(comparisons, far=0.01, min_false_accepts=30)


def test_arrays_are_aligned_and_only_targets_are_compared(results, setting):
    owner = dict(zip(setting.target.sources.tolist(), setting.target.identities.tolist(), strict=True))
    for item in results:
        lengths = {len(item.scores), len(item.gallery_identities), len(item.probe_identities)}
        assert lengths == {len(item.gallery_sources)} == {len(item.probe_sources)}
        for sources, identities in (
            (item.gallery_sources, item.gallery_identities),
            (item.probe_sources, item.probe_identities),
        ):
            assert [owner[source] for source in sources.tolist()] == identities.tolist()


def test_no_pair_of_images_is_listed_twice(results):
    for item in results:
        first, second = item.gallery_sources, item.probe_sources
        if item.exchangeable == "both":
            first, second = np.minimum(first, second), np.maximum(first, second)
        assert np.unique(first * 10_000 + second).size == first.size


def test_names_are_unique_paths(results):
    names = [item.name for item in results]
    assert len(set(names)) == len(names)
    assert all(name and not name.startswith("/") and " " not in name for name in names)


def test_every_probed_person_is_in_the_gallery(results):
    for item in results:
        assert set(item.probe_identities) <= set(item.gallery_identities)


def test_deterministic_by_seed_and_leaves_everything_else_alone(attack, setting, results):
    images = {**vars(setting.target), **{f"owned_{key}": value for key, value in vars(setting.owned).items()}}
    untouched = copy.deepcopy(images)
    weights = copy.deepcopy(setting.recognizer.state_dict())
    torch.manual_seed(0)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    again = attack(setting)
    for one, two in zip(results, again, strict=True):
        np.testing.assert_array_equal(one.scores, two.scores)
    for key, value in images.items():
        np.testing.assert_array_equal(value, untouched[key])
    for key, value in setting.recognizer.state_dict().items():
        assert torch.equal(value, weights[key])
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in setting.recognizer.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_another_recognizer_compares_the_same_pairs(attack, results):
    """Or the scores of several recognizers could not be fused."""
    faces = pattern_faces({"attacker": 6, "search": 10})
    others = attack(image_setting(partly_hidden, ColourRecognizer("other", cells=5), faces))
    for one, other in zip(results, others, strict=True):
        assert one.name == other.name
        for side in ("gallery_sources", "probe_sources", "gallery_members", "probe_members"):
            np.testing.assert_array_equal(getattr(one, side), getattr(other, side))


def test_a_rehearsal_on_images_without_content_does_everything_the_attack_does(attack, setting, results):
    blank = image_setting(lambda faces: torch.zeros_like(faces.images), ColourRecognizer(), rehearsal=True)
    rehearsed = attack(blank)
    assert [item.name for item in rehearsed] == [item.name for item in results]
    assert all(np.isfinite(item.scores).all() for item in rehearsed)


def test_diagnostics_are_finite_numbers(results):
    assert all(np.isfinite(value) for item in results for value in item.diagnostics.values())
