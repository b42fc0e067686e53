"""A2 reverse: anonymized gallery, clear probe; find a known face in an anonymized collection."""

from typing import ClassVar

from veil.config import Settings
from veil.interfaces import AttackSetting, Comparisons
from veil.protocol.pairs import compare
from veil.registry import attackers


class ReverseConfig(Settings):
    """A frozen recognizer has no strength to set."""


@attackers.register("reverse")
class Reverse:
    """An attacker who searches anonymized images for a known person.

    With a symmetric similarity and all pairs compared, its verification figures equal those of A1; its identification
    ranks differ, because the gallery does.
    """

    rung: ClassVar[str] = "A2"
    ensembles: ClassVar[bool] = False
    Config: ClassVar[type[Settings]] = ReverseConfig

    def __init__(self, config: ReverseConfig) -> None:
        self.config = config

    def __call__(self, setting: AttackSetting) -> list[Comparisons]:
        """Compare all cross-source pairs of the target people."""
        people = setting.target
        return [compare("reverse", people, people.anonymized, people.clear, exchangeable="gallery")]
