"""An anonymizer that a study does not vary: made by its own trainable, or taken from a finished trial."""

import json
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from veil.config import Settings
from veil.errors import ConfigError, DataError, ProtocolError
from veil.interfaces import Anonymizer, Trainable, TrialContext, TrialOutcome
from veil.registry import trainables

BORROWERS = ("robustness", "sensitivity")
"""Trainables that only borrow an anonymizer; none of them can make one."""


class BorrowedAnonymizer(Settings):
    """Where the anonymizer comes from."""

    trainable: str | None = Field(None, description="registered trainable that makes the anonymizer")
    settings: dict[str, Any] = Field({}, description="of that trainable")
    trial: Path | None = Field(None, description="folder of a finished trial, loaded instead of trained again")

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        if (self.trainable is None) == (self.trial is None):
            raise ValueError("give either `trainable` with its `settings`, or `trial`, the folder of a finished one")
        if self.trial is not None and self.settings:
            raise ValueError("`settings` belong to `trainable`; a finished trial has its own, remove them")
        if self.trainable is not None:
            try:
                self._check_trainable(self.trainable)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return self

    def _check_trainable(self, name: str) -> None:
        kind = trainables.get(name)
        if name in BORROWERS or not kind.needs_faces:
            raise ConfigError(f"trainable {name!r} makes no anonymizer of faces; choose one that does")
        kind.Config.parse(self.settings, where=f"settings of trainable {name!r}")

    def make(self, context: TrialContext) -> TrialOutcome:
        """Make the anonymizer, or load it.

        Raises:
            DataError: the finished trial cannot be read.
            ProtocolError: the finished trial was made with other faces.
        """
        if self.trial is not None:
            check_same_faces(self.trial, context.folder)
            return TrialOutcome(self.load(context.folder))
        trainable, settings = self._made_by()
        return trainable.run(settings, context)

    def load(self, folder: Path) -> Anonymizer:
        """Rebuild the anonymizer from the borrower's own folder, or from the finished trial that it was taken from.

        Raises:
            DataError: there is nothing to load.
        """
        trainable, settings = self._made_by()
        return trainable.load(settings, self.trial or folder)

    @property
    def name(self) -> str:
        """Short name of the anonymizer, for example "blur 31" or "smoke #13"."""
        if self.trial is not None:
            return f"{self.trial.resolve().parents[1].name} #{int(self.trial.name)}"
        trainable, settings = self._made_by()
        return trainable.label(settings)

    def _made_by(self) -> tuple[Trainable, Settings]:
        """Trainable of the anonymizer, and its settings."""
        if self.trial is not None:
            record = _read(self.trial / "record.json")
            if record.get("state") != "valid":
                raise DataError(f"the trial in {self.trial} is {record.get('state')!r}, expected a valid one")
            name, values, where = record["trainable"], record["params"], str(self.trial)
        else:
            assert self.trainable is not None
            name, values, where = self.trainable, self.settings, f"settings of trainable {self.trainable!r}"
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
