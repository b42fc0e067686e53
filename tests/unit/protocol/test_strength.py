"""The suite of one attacker at one strength: what stays, what is laid over what, and what is refused."""

import pytest

from veil.config import SuiteConfig
from veil.errors import ConfigError
from veil.protocol.score import attacker_configs, suite_hash
from veil.protocol.strength import suite_at_strength

SUITE = SuiteConfig(far=0.02, seed=3, strength={"informed": {"epochs": 40, "folds": 4}})


def test_only_the_attacker_and_what_learns_nothing_remain() -> None:
    reduced = suite_at_strength(SUITE, {"informed": {"epochs": 7}})
    assert reduced.attackers == ("control", "naive", "parrot", "informed")
    unchanged = set(SuiteConfig.model_fields) - {"attackers", "strength"}
    assert {name: getattr(reduced, name) for name in unchanged} == {name: getattr(SUITE, name) for name in unchanged}


def test_strength_lies_over_the_suite_over_the_defaults() -> None:
    resolved = suite_at_strength(SUITE, {"informed": {"epochs": 7}}).strength["informed"]
    default = attacker_configs(SuiteConfig())["informed"].model_dump(mode="json")
    assert resolved == default | {"epochs": 7, "folds": 4}


def test_hash_tells_strengths_apart_and_ignores_how_a_default_is_written() -> None:
    def of(strength: dict) -> str:
        return suite_hash(suite_at_strength(SuiteConfig(), {"informed": strength}), {"r": "0"}, ("e", "1"))

    assert of({"epochs": 7}) != of({"epochs": 8}) != of({})
    assert of({}) == of({"epochs": attacker_configs(SuiteConfig())["informed"].model_dump()["epochs"]})
    assert of({}) != suite_hash(SuiteConfig(), {"r": "0"}, ("e", "1")), "a reduced suite is another suite"


@pytest.mark.parametrize(
    ("strength", "message"),
    [
        ({}, "expected exactly one attacker"),
        ({"informed": {}, "reverse": {}}, "expected exactly one attacker"),
        ({"parrot": {}}, "other than control, naive, parrot"),
        ({"informd": {}}, "did you mean 'informed'"),
        ({"informed": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"informed": {"epochs": 0}}, "epochs"),
    ],
)
def test_wrong_strength_is_refused(strength: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        suite_at_strength(SuiteConfig(), strength)
