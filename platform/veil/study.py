"""The study folder: manifest, trial records and artifacts on disk, readable without Ray, Optuna or MLflow."""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from filelock import FileLock, Timeout

from veil.atomic import replace_when_complete
from veil.config import StudyConfig
from veil.errors import ConfigError, DataError, ProtocolError, VeilError, nearest
from veil.json_lines import read_json_lines
from veil.protocol.measurement import Spread
from veil.records import Attempt, EarlyScore, Manifest, TrialRecord

SPREADS = "spreads.npz"
THUMBNAIL = "thumbnail.webp"
FAILURES = "failures.webp"
RUNGS = "rungs"

TAIL_BYTES = 8192
"""Of a file of losses; its last line is much shorter."""


class StudyFolder:
    """Paths and records of one study."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.path.name

    @property
    def config_path(self) -> Path:
        """The study's configuration as it was resolved."""
        return self.path / "study.yaml"

    @property
    def manifest_path(self) -> Path:
        """The hashes that must not change."""
        return self.path / "manifest.json"

    @property
    def cache(self) -> Path:
        """Files that the study's trials share."""
        return self.path / "cache"

    @property
    def optuna_path(self) -> Path:
        """Journal in which Optuna keeps the trials."""
        return self.path / "optuna.log"

    @property
    def page_path(self) -> Path:
        """The frontier page."""
        return self.path / "frontier.html"

    @property
    def robustness_path(self) -> Path:
        """The page of a study of attackers: leak against strength."""
        return self.path / "robustness.html"

    @property
    def sensitivity_path(self) -> Path:
        """The page of a study of detectors: what depends on how faces are found and aligned."""
        return self.path / "sensitivity.html"

    def trial(self, number: int) -> Path:
        """Folder of one trial."""
        return self.path / "trials" / f"{number:05d}"

    def create(self, config: StudyConfig, manifest: Manifest) -> None:
        """Make the folder, or check that an existing one holds the same study.

        Raises:
            ConfigError: the folder cannot be written.
            ProtocolError: the name is taken by a study with another suite, data, contract, space or objectives.
        """
        if self.manifest_path.exists():
            self._check_same(manifest)
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            _write_text(self.config_path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
            _write_text(self.manifest_path, manifest.model_dump_json(indent=2))
        except (OSError, DataError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(
                f"cannot write the study folder {self.path}: {reason}; choose another `root` (--set root=FOLDER)"
            ) from None

    def _check_same(self, manifest: Manifest) -> None:
        existing = self.manifest()
        changed = [
            f"{field}: {getattr(existing, field)} there, {getattr(manifest, field)} now"
            for field in Manifest.model_fields
            if getattr(existing, field) != getattr(manifest, field)
        ]
        if changed:
            raise ProtocolError(
                f"the study {self.name!r} in {self.path} was made under other conditions ({'; '.join(changed)}); "
                "its scores would not compare: choose another name (--set study=NAME)"
            )

    def manifest(self) -> Manifest:
        """Read the manifest."""
        return Manifest.parse(_read_json(self.manifest_path), where=str(self.manifest_path))

    def config(self) -> StudyConfig:
        """Read the configuration, with the folder it lies in as its root.

        Raises:
            ConfigError: there is no such study; the nearest one is named.
        """
        if not self.config_path.exists():
            siblings = [path.parent.name for path in self.path.parent.glob("*/study.yaml")]
            raise ConfigError(f"no study {self.name!r} in {self.path.parent}; {nearest(self.name, siblings)}")
        values = yaml.safe_load(self.config_path.read_text(encoding="utf-8"))
        values["root"] = str(self.path.parent)
        return StudyConfig.parse(values, where=str(self.config_path))

    def progress_path(self, number: int) -> Path:
        """Losses over images seen, one JSON object a line, as the trial's own process reported them."""
        return self.trial(number) / "progress.jsonl"

    def images_seen(self, number: int) -> int | None:
        """By a trial's training, as it last reported; None where it has not."""
        points = read_json_lines(self.progress_path(number), last_bytes=TAIL_BYTES)
        return int(points[-1]["progress/images"]) if points else None

    def record_path(self, number: int) -> Path:
        """Where a trial's record lies once it is finished."""
        return self.trial(number) / "record.json"

    def record(self, number: int) -> TrialRecord | None:
        """Record of a finished trial, None if it has not finished.

        Raises:
            VeilError: the record is damaged, or another version of Veil wrote it.
        """
        path = self.record_path(number)
        return _parse_record(path) if path.exists() else None

    def write_record(self, record: TrialRecord) -> None:
        """Publish a finished trial; a record appears whole or not at all."""
        self.trial(record.number).mkdir(parents=True, exist_ok=True)
        _write_text(self.record_path(record.number), record.model_dump_json(indent=2))

    def write_early_score(self, number: int, score: EarlyScore) -> None:
        """Publish what a trial is worth at a rung, or what follows from it; whole or not at all."""
        _write_text(self.trial(number) / RUNGS / f"{score.images}.json", score.model_dump_json(indent=2))

    def early_scores(self, number: int) -> tuple[EarlyScore, ...]:
        """What a trial was worth at the rungs that it has reached, first to last.

        Raises:
            VeilError: a file is damaged.
        """
        found = [_parse_early_score(path) for path in (self.trial(number) / RUNGS).glob("[0-9]*.json")]
        return tuple(sorted(found, key=lambda score: score.images))

    def rung(self, images: int) -> dict[int, EarlyScore]:
        """What each trial that has reached a rung was worth there, by its number.

        Raises:
            VeilError: a file is damaged.
        """
        paths = sorted(self.path.glob(f"trials/*/{RUNGS}/{images}.json"))
        return {int(path.parent.parent.name): _parse_early_score(path) for path in paths}

    def note_attempt(self, number: int) -> None:
        """Write down that a process starts working on a trial, and where."""
        attempt = Attempt(time.time(), os.getpid(), socket.gethostname())
        with (self.trial(number) / "attempts.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(attempt._asdict()) + "\n")

    def attempts(self, number: int) -> list[Attempt]:
        """Processes that have worked on a trial, first to last."""
        return [Attempt(**attempt) for attempt in read_json_lines(self.trial(number) / "attempts.jsonl")]

    def finished(self) -> list[int]:
        """Numbers of all trials that have a record, in order."""
        return sorted(int(path.parent.name) for path in self.path.glob("trials/*/record.json"))

    def records(self) -> list[TrialRecord]:
        """Records of all finished trials, in order of their numbers."""
        return [_parse_record(self.record_path(number)) for number in self.finished()]

    @contextmanager
    def driver_lock(self) -> Iterator[None]:
        """Hold the study for one driver.

        Raises:
            ConfigError: another driver is running this study.
        """
        with _exclusive(self.path / "driver.lock", f"the study {self.name!r} is being run by another process", 0):
            yield

    def write_spreads(self, number: int, spreads: Mapping[str, Spread]) -> None:
        """Keep what a trial's objectives are in other samples of the people."""
        arrays: dict[str, Any] = {
            f"{name}/{kind}": values for name, spread in spreads.items() for kind, values in spread._asdict().items()
        }
        np.savez_compressed(self.trial(number) / SPREADS, **arrays)

    def has_spreads(self, number: int) -> bool:
        """Whether they were kept."""
        return (self.trial(number) / SPREADS).is_file()

    def spreads(self, number: int) -> dict[str, Spread]:
        """What a valid trial's objectives are in other samples of the people, by objective.

        Raises:
            VeilError: they are not there, or the file is damaged.
        """
        path = self.trial(number) / SPREADS
        try:
            with np.load(path, allow_pickle=False) as arrays:
                names = sorted({key.rsplit("/", 1)[0] for key in arrays})
                return {name: Spread(*(arrays[f"{name}/{kind}"] for kind in Spread._fields)) for name in names}
        except (OSError, ValueError, KeyError) as error:
            raise VeilError(
                f"cannot read {path}: {error}; the trial was scored by an older Veil or is damaged"
            ) from None

    def thumbnail(self, number: int) -> bytes | None:
        """A few faces of a trial as WebP; None where nothing was anonymized."""
        path = self.trial(number) / THUMBNAIL
        return path.read_bytes() if path.is_file() else None

    def failures(self, number: int) -> bytes | None:
        """Faces of the people whom a trial hides and keeps worst, as WebP; None where nobody was scored."""
        path = self.trial(number) / FAILURES
        return path.read_bytes() if path.is_file() else None

    @contextmanager
    def trial_lock(self, number: int) -> Iterator[None]:
        """Hold one trial, so that a process that outlived its driver never works on it beside a new one."""
        self.trial(number).mkdir(parents=True, exist_ok=True)
        message = f"trial {number} of study {self.name!r} is still being run by a process of an earlier driver"
        with _exclusive(self.trial(number) / "trial.lock", message, 120):
            yield


@contextmanager
def _exclusive(path: Path, message: str, timeout_seconds: float) -> Iterator[None]:
    lock = FileLock(path, timeout=timeout_seconds)
    try:
        lock.acquire()
    except Timeout:
        raise ConfigError(f"{message} (lock {path}); stop that process first") from None
    except OSError as error:
        raise ConfigError(f"cannot lock {path}: {error.strerror}; choose another `root`") from None
    try:
        yield
    finally:
        lock.release()


def _write_text(path: Path, text: str) -> None:
    with replace_when_complete(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VeilError(f"cannot read {path}: {error}; the study folder is damaged") from None
    if not isinstance(values, dict):
        raise VeilError(f"{path} holds {type(values).__name__}, expected an object; the study folder is damaged")
    return values


def _parse_early_score(path: Path) -> EarlyScore:
    return EarlyScore.parse(_read_json(path), where=str(path))


def _parse_record(path: Path) -> TrialRecord:
    try:
        return TrialRecord.parse(_read_json(path), where=str(path))
    except ConfigError as error:
        raise VeilError(
            f"{error}; another version of Veil wrote this record, whose scores do not mix with new ones: read it with "
            "that version, or sweep anew under another --set study=NAME"
        ) from None
