"""What every attacker must keep, registered ones with their default strength."""

import copy

import numpy as np
import pytest
from attack_sets import simulated_setting, unit

from veil.config import Settings
from veil.protocol.guards import check_comparisons
from veil.registry import attackers


def partly_hidden(clear, people):
    return unit(clear + 0.2 * np.random.default_rng(0).normal(size=clear.shape))


@pytest.fixture(scope="module")
def setting():
    return simulated_setting(partly_hidden)


@pytest.fixture(scope="module", params=attackers.names())
def attacker(request):
    return attackers.get(request.param)


@pytest.fixture(scope="module")
def results(attacker, setting):
    return attacker(attacker.Config())(setting)


def test_says_its_rung_and_its_strength(attacker):
    assert attacker.rung in {f"A{level}" for level in range(7)}
    assert issubclass(attacker.Config, Settings)
    assert attacker.__doc__


def test_the_default_suite_finds_all_its_attackers():
    assert {"control", "naive", "reverse", "parrot", "informed"} <= set(attackers.names())


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


def test_deterministic_by_seed_and_leaves_its_input_alone(attacker, setting, results):
    untouched = copy.deepcopy(setting)
    again = attacker(attacker.Config())(setting)
    for one, two in zip(results, again, strict=True):
        np.testing.assert_array_equal(one.scores, two.scores)
    for side in ("target", "owned"):
        for name in ("identities", "sources", "clear", "anonymized"):
            np.testing.assert_array_equal(
                getattr(getattr(setting, side), name), getattr(getattr(untouched, side), name)
            )


def test_diagnostics_are_finite_numbers(results):
    assert all(np.isfinite(value) for item in results for value in item.diagnostics.values())
