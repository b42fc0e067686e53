"""Who attacks: every attacker that Veil knows, with what it knows, and whether the study ran it."""

import inspect
from collections.abc import Collection
from typing import Any, NamedTuple

from veil.config import StudyConfig
from veil.protocol.score import attacker_configs
from veil.registry import attackers


class Attack(NamedTuple):
    """One attacker of the ladder.

    Attributes:
        rung: "A0" to "A6".
        name: registered name.
        description: what it is, in a sentence.
        strength: its settings in words; empty where it has none, or was not run.
        run: whether it judged a trial.
    """

    rung: str
    name: str
    description: str
    strength: str
    run: bool


def ladder_of(config: StudyConfig, judged: Collection[str], varied: Collection[str]) -> list[Attack]:
    """All registered attackers in the order of the ladder.

    Args:
        config: of the study.
        judged: those that judged a valid trial.
        varied: those whose strength is another in each trial.
    """
    settings = attacker_configs(config.suite)
    found = []
    for name in attackers.names():
        attacker = attackers.get(name)
        strength = ""
        if name in varied:
            strength = "another in each trial"
        elif name in judged and name in settings:
            strength = ", ".join(f"{key}={value}" for key, value in settings[name].flatten().items())
        found.append(Attack(attacker.rung, name, first_line(attacker), strength, name in judged))
    return sorted(found)


def first_line(plugin: Any) -> str:
    """What a plug-in says of itself in the first line of its docstring."""
    return (inspect.getdoc(plugin) or "").partition("\n")[0]
