"""Who attacks: every attacker that Veil knows, with what it knows, and whether the study ran it."""

import inspect
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
        run: whether the study's suite holds it.
    """

    rung: str
    name: str
    description: str
    strength: str
    run: bool


def ladder_of(config: StudyConfig) -> list[Attack]:
    """All registered attackers in the order of the ladder."""
    settings = attacker_configs(config.suite)
    found = []
    for name in attackers.names():
        attacker = attackers.get(name)
        strength = settings[name].flatten() if name in settings else {}
        found.append(Attack(attacker.rung, name, first_line(attacker), _words(strength), name in settings))
    return sorted(found)


def first_line(plugin: Any) -> str:
    """What a plug-in says of itself in the first line of its docstring."""
    return (inspect.getdoc(plugin) or "").partition("\n")[0]


def _words(strength: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in strength.items())
