"""A fixed anonymizer under one attacker of chosen strength: how robustness falls as attackers grow stronger."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from veil.config import Settings
from veil.errors import ConfigError, DataError, ProtocolError
from veil.frontier.robustness import SEPARATOR, value_text
from veil.interfaces import Anonymizer, Trainable, TrialContext, TrialOutcome
from veil.registry import attackers, trainables

_LEARN_NOTHING = ("A0", "A1", "A2", "A3")


class RobustnessConfig(Settings):
    """What is attacked, by whom, and how strongly."""

    trainable: str | None = Field(None, description="registered trainable that makes the anonymizer")
    settings: dict[str, Any] = Field({}, description="of that trainable")
    trial: Path | None = Field(None, description="folder of a finished trial, loaded instead of trained again")
    attacker: str = Field(description="registered adaptive attacker")
    strength: dict[str, Any] = Field({}, description="its settings; those left out are as in the study's suite")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.trainable is None) == (self.trial is None):
            raise ValueError("give either `trainable` with its `settings`, or `trial`, the folder of a finished one")
        try:
            if self.trainable is not None:
                self._check_trainable(self.trainable)
            elif self.settings:
                raise ConfigError("`settings` belong to `trainable`; a finished trial has its own, remove them")
            self._check_attacker()
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    def _check_trainable(self, name: str) -> None:
        kind = trainables.get(name)
        if kind is Robustness or not kind.needs_faces:
            raise ConfigError(f"trainable {name!r} makes no anonymizer of faces; choose one that does")
        kind.Config.parse(self.settings, where=f"settings of trainable {name!r}")

    def _check_attacker(self) -> None:
        kind = attackers.get(self.attacker)
        if kind.rung in _LEARN_NOTHING:
            raise ConfigError(f"attacker {self.attacker!r} ({kind.rung}) learns nothing and so has no strength")
        kind.Config.check_partial(self.strength, where=f"strength of attacker {self.attacker!r}")


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
        if config.trial is not None:
            check_same_faces(config.trial, context.folder)
            outcome = TrialOutcome(self.load(config, context.folder))
        else:
            trainable, settings = _made_by(config)
            outcome = trainable.run(settings, context)
        return replace(outcome, strength={config.attacker: config.strength})

    def load(self, config: RobustnessConfig, folder: Path) -> Anonymizer:
        """Rebuild the anonymizer from the trial's folder, or from the finished trial that it was taken from.

        Raises:
            DataError: there is nothing to load.
        """
        trainable, settings = _made_by(config)
        return trainable.load(settings, config.trial or folder)

    def label(self, config: RobustnessConfig) -> str:
        """For example "blur 31 · informed epochs=50"; what stands before the dot names the anonymizer."""
        if config.trial is not None:
            name = f"{config.trial.resolve().parents[1].name} #{int(config.trial.name)}"
        else:
            trainable, settings = _made_by(config)
            name = trainable.label(settings)
        strength = (f"{key}={value_text(value)}" for key, value in config.strength.items())
        return " ".join([name, SEPARATOR, config.attacker, *strength])


def _made_by(config: RobustnessConfig) -> tuple[Trainable, Settings]:
    """Trainable of the anonymizer, and its settings."""
    if config.trial is not None:
        record = _read(config.trial / "record.json")
        if record.get("state") != "valid":
            raise DataError(f"the trial in {config.trial} is {record.get('state')!r}, expected a valid one")
        name, values, where = record["trainable"], record["params"], str(config.trial)
    else:
        assert config.trainable is not None
        name, values, where = config.trainable, config.settings, f"settings of trainable {config.trainable!r}"
    trainable = trainables.get(name)()
    return trainable, trainable.Config.parse(values, where=where)


def check_same_faces(finished: Path, folder: Path) -> None:
    """Refuse an anonymizer that may have been trained on the people who are under attack here.

    Args:
        finished: folder of the trial that made the anonymizer.
        folder: folder of the trial that attacks it.

    Raises:
        ProtocolError: the two studies have other faces or other splits.
        DataError: a study's manifest cannot be read.
    """
    theirs, ours = (_read(trial.resolve().parents[1] / "manifest.json")["data_hash"] for trial in (finished, folder))
    if theirs != ours:
        raise ProtocolError(
            f"the anonymizer in {finished} was made with other faces (data hash {theirs}, here {ours}): it may have "
            "been trained on the people under attack; use the `data` settings of its study"
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}; `trial` must be the folder of a finished trial") from None
    if not isinstance(values, dict):
        raise DataError(f"{path} holds {type(values).__name__}, expected an object")
    return values
