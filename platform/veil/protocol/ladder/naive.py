"""A1 naive: clear gallery, anonymized probe: look up an anonymized face in a watch list."""

from typing import ClassVar

from veil.config import Settings
from veil.interfaces import AttackSetting, Comparisons
from veil.protocol.pairs import compare
from veil.registry import attackers


class NaiveConfig(Settings):
    """A frozen recognizer has no strength to set."""


@attackers.register("naive")
class Naive:
    """An attacker who does not know that the probe was anonymized."""

    rung: ClassVar[str] = "A1"
    ensembles: ClassVar[bool] = False
    Config: ClassVar[type[Settings]] = NaiveConfig

    def __init__(self, config: NaiveConfig) -> None:
        self.config = config

    def __call__(self, setting: AttackSetting) -> list[Comparisons]:
        """Compare all cross-source pairs of the target people."""
        people = setting.target
        return [compare("naive", people, people.clear, people.anonymized, exchangeable="probe")]
