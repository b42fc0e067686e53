"""A0 control: clear gallery, clear probe. It must be high, or a low leak proves nothing."""

from typing import ClassVar

from veil.config import Settings
from veil.interfaces import AttackSetting, Comparisons
from veil.protocol.pairs import compare
from veil.registry import attackers


class ControlConfig(Settings):
    """A frozen recognizer has no strength to set."""


@attackers.register("control")
class Control:
    """The recognizer on images that nobody anonymized."""

    rung: ClassVar[str] = "A0"
    ensembles: ClassVar[bool] = False
    Config: ClassVar[type[Settings]] = ControlConfig

    def __init__(self, config: ControlConfig) -> None:
        self.config = config

    def __call__(self, setting: AttackSetting) -> list[Comparisons]:
        """Compare all cross-source pairs of the target people."""
        people = setting.target
        return [compare("control", people, people.clear, people.clear, exchangeable="both")]
