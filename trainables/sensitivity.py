"""A fixed anonymizer on faces that one detector found and aligned: how scores depend on the crops."""

from dataclasses import replace
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from trainables.borrowed import BorrowedAnonymizer
from veil.errors import ConfigError
from veil.frontier.robustness import SEPARATOR
from veil.interfaces import Anonymizer, TrialContext, TrialOutcome
from veil.registry import detectors, trainables


class SensitivityConfig(BorrowedAnonymizer):
    """What is judged, and on whose crops."""

    detector: str = Field(description="registered detector that finds and aligns the faces under attack")

    @model_validator(mode="after")
    def _detector_exists(self) -> Self:
        try:
            detectors.get(self.detector)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self


@trainables.register("sensitivity")
class Sensitivity:
    """Makes or loads an anonymizer on the study's own crops, and asks to be judged on those of another detector.

    The score of such a trial says something of the detector. It is compared with the same anonymizer on other crops,
    never with other anonymizers, and can never be picked.
    """

    family = "sensitivity"
    needs_faces = True
    Config = SensitivityConfig

    def run(self, config: SensitivityConfig, context: TrialContext) -> TrialOutcome:
        """Return the anonymizer with the detector.

        Raises:
            DataError: the finished trial cannot be read.
            ProtocolError: the finished trial was made with other faces.
        """
        return replace(config.make(context), detector=config.detector)

    def load(self, config: SensitivityConfig, folder: Path) -> Anonymizer:
        """Rebuild the anonymizer.

        Raises:
            DataError: there is nothing to load.
        """
        return config.load(folder)

    def label(self, config: SensitivityConfig) -> str:
        """For example "blur 31 · mtcnn"; what stands before the dot names the anonymizer."""
        return f"{config.name} {SEPARATOR} {config.detector}"
