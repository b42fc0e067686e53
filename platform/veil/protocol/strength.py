"""The suite that judges one attacker at one strength, for studies of attackers."""

from collections.abc import Mapping
from typing import Any

from veil.config import SuiteConfig
from veil.errors import ConfigError
from veil.protocol.score import attacker_configs

REFERENCES = ("control", "naive", "parrot")
"""Attackers that stand beside the one under study: the control that every score needs, and two that learn nothing."""


def suite_at_strength(suite: SuiteConfig, strength: Mapping[str, Mapping[str, Any]]) -> SuiteConfig:
    """The suite reduced to one attacker, at a strength laid over the suite's own, beside fixed references.

    FAR, resamples, permutations and seed stay those of the suite, so that trials of different strength share people
    and chance, and differ in the attacker alone. The leak of such a suite leaves the other attackers out: it says
    something of the attacker, and must not be compared with the leak of a whole suite.

    Args:
        suite: the study's suite.
        strength: settings of one attacker by its name; what they leave out is as in the suite.

    Returns:
        a suite whose `strength` holds every setting of the attacker, defaults included.

    Raises:
        ConfigError: not exactly one attacker is named, it is a reference, it is unknown, or a setting is wrong.

    >>> reduced = suite_at_strength(SuiteConfig(), {"informed": {"epochs": 50}})
    >>> reduced.attackers, reduced.strength["informed"]["epochs"]
    (('control', 'naive', 'parrot', 'informed'), 50)
    """
    if len(strength) != 1 or set(strength) & set(REFERENCES):
        raise ConfigError(
            f"a trial has a strength of its own for {', '.join(strength) or 'no attacker'}; expected exactly one "
            f"attacker other than {', '.join(REFERENCES)}"
        )
    ((attacker, settings),) = strength.items()
    over = {attacker: {**suite.strength.get(attacker, {}), **settings}}
    reduced = suite.model_copy(update={"attackers": (*REFERENCES, attacker), "strength": over})
    resolved = attacker_configs(reduced)[attacker].model_dump(mode="json")
    return reduced.model_copy(update={"strength": {attacker: resolved}})
