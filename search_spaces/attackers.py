"""How robustness falls with the strength of an attacker: fixed anonymizers, one setting of one attacker at a time."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from optuna import Trial

from veil.interfaces import Anchor
from veil.registry import search_spaces

ANONYMIZERS: Mapping[str, Mapping[str, Any]] = {
    "blur 31": {"trainable": "baseline", "settings": {"method": "blur", "kernel": 31}},
    "pixelate 8": {"trainable": "baseline", "settings": {"method": "pixelate", "block": 8}},
}


class Setting(NamedTuple):
    """Values of one setting of an attacker.

    Attributes:
        default: what the attacker has by default; every curve runs through it.
        others: values beside it; numbers are sampled between the smallest and the largest of all.
    """

    default: Any
    others: tuple[Any, ...]


@search_spaces.register("attackers")
class InformedStrength:
    """Heads on frozen embeddings (A4): images of targets and of the attacker's own people, length, shape of the heads.

    Each trial departs from the default strength in one setting, so that every trial lies on a curve. To attack an
    anonymizer of your own, register a subclass with other `anonymizers`, for example
    {"mine": {"trial": "studies/smoke/trials/00013"}}.
    """

    trainables = ("robustness",)
    anonymizers: ClassVar[Mapping[str, Mapping[str, Any]]] = ANONYMIZERS
    attacker: ClassVar[str] = "informed"
    settings: ClassVar[Mapping[str, Setting]] = {
        "enrolment_images": Setting(None, (1, 2, 4)),
        "images_per_identity": Setting(None, (1, 3)),
        "epochs": Setting(150, (10, 30, 400)),
        "head": Setting("linear", ("mlp",)),
    }

    def anchors(self) -> Sequence[Anchor]:
        """For each anonymizer the default strength, then every other value.

        Anonymizers come one after another, because what a suite makes of images without content is measured once.
        """
        first = next(iter(self.settings))
        grid = [(first, self.settings[first].default)]
        grid += [(name, value) for name, setting in self.settings.items() for value in setting.others]
        return [
            Anchor("robustness", {"anonymizer": anonymizer, "setting": name, name: value})
            for anonymizer in self.anonymizers
            for name, value in grid
        ]

    def suggest(self, trial: Trial, trainable: str) -> dict[str, Any]:
        """An anonymizer, and the attacker with one setting changed."""
        anonymizer = self.anonymizers[trial.suggest_categorical("anonymizer", tuple(self.anonymizers))]
        name = trial.suggest_categorical("setting", tuple(self.settings))
        default, others = self.settings[name]
        values = (default, *others)
        if all(isinstance(value, int) for value in values):
            value: Any = trial.suggest_int(name, min(values), max(values), log=True)
        elif all(isinstance(value, float) for value in values):
            value = trial.suggest_float(name, min(values), max(values), log=True)
        else:
            value = trial.suggest_categorical(name, values)
        return {**anonymizer, "attacker": self.attacker, "strength": {name: value}}


@search_spaces.register("attackers_finetuned")
class FineTunedStrength(InformedStrength):
    """Fine-tuned recognizers (A5): images of each of the attacker's own people, length of training, trainings."""

    attacker = "finetuned"
    settings: ClassVar[Mapping[str, Setting]] = {
        "epochs": Setting(6.0, (1.0, 3.0, 12.0)),
        "images_per_identity": Setting(None, (2, 5)),
        "seeds": Setting(3, (1, 5)),
    }


@search_spaces.register("attackers_reversal")
class ReversalStrength(InformedStrength):
    """Inverters (A6): length of training in images seen, pairs of each person, width of the U-Net."""

    attacker = "reversal"
    settings: ClassVar[Mapping[str, Setting]] = {
        "images": Setting(1200, (150, 300, 600, 2400)),
        "images_per_identity": Setting(None, (2, 5)),
        "width": Setting(16, (8, 24)),
    }
