"""What depends on how faces are found and aligned: fixed anonymizers on the crops of every detector."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from optuna import Trial

from veil.config import DataConfig
from veil.interfaces import Anchor
from veil.registry import detectors, search_spaces

ANONYMIZERS: Mapping[str, Mapping[str, Any]] = {
    "blur 31": {"trainable": "baseline", "settings": {"method": "blur", "kernel": 31}},
    "pixelate 8": {"trainable": "baseline", "settings": {"method": "pixelate", "block": 8}},
}


@search_spaces.register("detectors")
class DetectorSensitivity:
    """The same images and anonymizers under every registered detector, those with jittered alignment among them.

    A detector whose weights are missing is left out; its trials say so. To judge an anonymizer of your own, register a
    subclass with other `anonymizers`, for example {"mine": {"trial": "studies/smoke/trials/00013"}}.
    """

    trainables = ("sensitivity",)
    anonymizers: ClassVar[Mapping[str, Mapping[str, Any]]] = ANONYMIZERS

    @property
    def detectors(self) -> tuple[str, ...]:
        """Every registered detector; the default one and its variants first."""
        default = DataConfig().detector
        return tuple(sorted(detectors.names(), key=lambda name: (not name.startswith(default), name)))

    def anchors(self) -> Sequence[Anchor]:
        """Every anonymizer under every detector; one detector after another, for what it costs is paid once."""
        return [
            Anchor("sensitivity", {"detector": detector, "anonymizer": anonymizer})
            for detector in self.detectors
            for anonymizer in self.anonymizers
        ]

    def suggest(self, trial: Trial, trainable: str) -> dict[str, Any]:
        """A detector and an anonymizer."""
        detector = trial.suggest_categorical("detector", self.detectors)
        anonymizer = self.anonymizers[trial.suggest_categorical("anonymizer", tuple(self.anonymizers))]
        return {**anonymizer, "detector": detector}
