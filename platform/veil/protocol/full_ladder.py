"""The suite that judges a picked point: every registered attacker, and each adaptive one with several seeds."""

from typing import Any

from veil.config import SealedConfig, SuiteConfig
from veil.protocol.score import attacker_configs
from veil.registry import attackers

_LONGER: dict[str, dict[str, Any]] = {"finetuned": {"epochs": 12.0}}
"""Where a study says nothing: recognizers of the report role learn more slowly than those that search."""


def full_ladder() -> tuple[str, ...]:
    """Every registered attacker, in ladder order."""
    return tuple(sorted(attackers.names(), key=lambda name: (attackers.get(name).rung, name)))


def sealed_suite(suite: SuiteConfig, sealed: SealedConfig) -> SuiteConfig:
    """The study's suite with all attackers, at least as many seeds as are asked for, and their strength.

    FAR, statistics and the first seed stay those of the suite. Where neither says how strong an attacker is, it is as
    strong as by default, or stronger.

    Raises:
        ConfigError: strength is set for an unknown attacker, or a setting is wrong.

    >>> sealed_suite(SuiteConfig(), SealedConfig()).strength["finetuned"]["seeds"]
    3
    """
    ladder = full_ladder()
    names = (*ladder, *(set(suite.strength) | set(sealed.strength)) - set(ladder))
    seeds = max(suite.attacker_seeds, sealed.attacker_seeds)
    strength: dict[str, dict[str, Any]] = {
        name: {**_LONGER.get(name, {}), **suite.strength.get(name, {}), **sealed.strength.get(name, {})}
        for name in names
    }
    full = suite.model_copy(update={"attackers": ladder, "attacker_seeds": seeds, "strength": strength})
    for name, config in attacker_configs(full).items():
        if "seeds" in type(config).model_fields:
            strength[name]["seeds"] = max(seeds, config.model_dump()["seeds"])
    return full
