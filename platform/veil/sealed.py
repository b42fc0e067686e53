"""The log of a study's looks at its sealed people: the more often they are consulted, the less a good score means."""

import json
from pathlib import Path
from typing import TypeVar

from veil.config import Settings
from veil.errors import ConfigError, DataError
from veil.protocol.score import TrialScore
from veil.study import StudyFolder

LOG = "sealed.jsonl"
REGISTRATIONS = "registered.jsonl"


class SealedLook(Settings):
    """One trial scored on the sealed people.

    Attributes:
        time: when, in UTC, as ISO 8601.
        trial, label: of the trial.
        asked: how the point was chosen, as command-line options: "--max-leak 0.1"; empty where that is not known.
        score: its score on the sealed people.
        refused: why it must not be registered (the score is invalid, or breaks the budget); None if it may be.
        run_id: MLflow run that holds the score; None if it could not be logged there.
        trial_sha256: of the files that the trial's anonymizer was rebuilt from; empty where that is not known.
    """

    time: str
    trial: int
    label: str
    asked: str = ""
    score: TrialScore
    refused: str | None = None
    run_id: str | None = None
    trial_sha256: str = ""


class Registration(Settings):
    """One operating point that was registered.

    Attributes:
        time: when, in UTC, as ISO 8601.
        model, alias, version: in the model registry.
        trial: number of the trial.
        look: number of the look at the sealed people, counted from 1, that it rests on.
        files_sha256: digest over the model's own files.
    """

    time: str
    model: str
    alias: str
    version: str
    trial: int
    look: int
    files_sha256: str


Entry = TypeVar("Entry", bound=Settings)


def sealed_looks(folder: StudyFolder) -> list[SealedLook]:
    """All looks at the sealed people of a study, first to last; empty if nobody has looked.

    Raises:
        DataError: the log is damaged.
    """
    return _read(folder.path / LOG, SealedLook)


def registrations(folder: StudyFolder) -> list[Registration]:
    """All operating points registered from a study, first to last.

    Raises:
        DataError: the log is damaged.
    """
    return _read(folder.path / REGISTRATIONS, Registration)


def log_look(folder: StudyFolder, look: SealedLook) -> int:
    """Write a look down; returns its number, counted from 1.

    Raises:
        DataError: the study folder cannot be written.
    """
    return _append(folder.path / LOG, look)


def log_registration(folder: StudyFolder, registration: Registration) -> None:
    """Write a registration down.

    Raises:
        DataError: the study folder cannot be written.
    """
    _append(folder.path / REGISTRATIONS, registration)


def _read(path: Path, kind: type[Entry]) -> list[Entry]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [kind.parse(json.loads(line), where=f"{path}:{number}") for number, line in enumerate(lines, start=1)]
    except (OSError, ValueError, ConfigError) as error:
        raise DataError(f"cannot read {path}: {error}; another version of Veil wrote it, or it is damaged") from error


def _append(path: Path, entry: Settings) -> int:
    try:
        with path.open("a+", encoding="utf-8") as log:
            log.write(entry.model_dump_json() + "\n")
            log.seek(0)
            return len(log.read().splitlines())
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}; make the study folder writable") from error
