"""A3 parrot: anonymized gallery, anonymized probe: link two anonymized images of one person."""

from typing import ClassVar

from veil.config import Settings
from veil.interfaces import AttackSetting, Comparisons
from veil.protocol.pairs import compare
from veil.registry import attackers


class ParrotConfig(Settings):
    """A frozen recognizer has no strength to set."""


@attackers.register("parrot")
class Parrot:
    """An attacker who imitates the anonymizer: stable pseudonyms, invisible to A1 and A2, are linked here."""

    rung: ClassVar[str] = "A3"
    ensembles: ClassVar[bool] = False
    Config: ClassVar[type[Settings]] = ParrotConfig

    def __init__(self, config: ParrotConfig) -> None:
        self.config = config

    def __call__(self, setting: AttackSetting) -> list[Comparisons]:
        """Compare all cross-source pairs of the target people."""
        people = setting.target
        return [compare("parrot", people, people.anonymized, people.anonymized, exchangeable="both")]
