"""A fixed anonymizer under one attacker of chosen strength: how robustness falls as attackers grow stronger."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from trainables.borrowed import BorrowedAnonymizer
from veil.errors import ConfigError
from veil.frontier.robustness import SEPARATOR, value_text
from veil.interfaces import Anonymizer, TrialContext, TrialOutcome
from veil.registry import attackers, trainables

_LEARN_NOTHING = ("A0", "A1", "A2", "A3")


class RobustnessConfig(BorrowedAnonymizer):
    """What is attacked, by whom, and how strongly."""

    attacker: str = Field(description="registered adaptive attacker")
    strength: dict[str, Any] = Field({}, description="its settings; those left out are as in the study's suite")

    @model_validator(mode="after")
    def _attacker_has_that_strength(self) -> Self:
        try:
            kind = attackers.get(self.attacker)
            if kind.rung in _LEARN_NOTHING:
                raise ConfigError(f"attacker {self.attacker!r} ({kind.rung}) learns nothing and so has no strength")
            kind.Config.check_partial(self.strength, where=f"strength of attacker {self.attacker!r}")
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self


@trainables.register("robustness")
class Robustness:
    """Makes or loads an anonymizer, and asks for one attacker at one strength to judge it.

    The score of such a trial says something of the attacker. It is compared with other strengths of the same attacker,
    never with other anonymizers, and can never be picked.
    """

    family = "robustness"
    needs_faces = True
    Config = RobustnessConfig

    def run(self, config: RobustnessConfig, context: TrialContext) -> TrialOutcome:
        """Return the anonymizer with the strength of the attacker.

        Raises:
            DataError: the finished trial cannot be read.
            ProtocolError: the finished trial was made with other faces.
        """
        return replace(config.make(context), strength={config.attacker: config.strength})

    def load(self, config: RobustnessConfig, folder: Path) -> Anonymizer:
        """Rebuild the anonymizer.

        Raises:
            DataError: there is nothing to load.
        """
        return config.load(folder)

    def label(self, config: RobustnessConfig) -> str:
        """For example "blur 31 · informed epochs=50"; what stands before the dot names the anonymizer."""
        strength = (f"{key}={value_text(value)}" for key, value in config.strength.items())
        return " ".join([config.name, SEPARATOR, config.attacker, *strength])
