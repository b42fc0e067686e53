"""The study folder: manifest, trial records and artifacts on disk, readable without Ray, Optuna or MLflow."""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import yaml
from filelock import FileLock, Timeout
from pydantic import Field

from veil.atomic import replace_when_complete
from veil.config import Settings, StudyConfig
from veil.errors import ConfigError, DataError, ProtocolError, VeilError, nearest
from veil.protocol.measurement import Spread
from veil.protocol.score import Estimate, TrialScore

TrialState = Literal["valid", "invalid", "diverged", "failed", "stopped"]
StudyKind = Literal["anonymizers", "attackers", "detectors"]
"""What a study compares. Trials of the first kind are points of a frontier, trials of the others never are."""

SPREADS = "spreads.npz"
THUMBNAIL = "thumbnail.webp"
FAILURES = "failures.webp"
RUNGS = "rungs"


class Manifest(Settings):
    """What must not change within a study.

    Attributes:
        space: registered search space.
        base_hash: settings that the trials share; sampled values mean something only beside them.
        suite_hash: attack suite with the models that score; where trials have a strength of their own, the suite that
            it is laid over.
        data_hash: contents of the prepared faces; None for studies without faces.
        contract_hash: crop contract; None for studies without faces.
        objectives: names in order.
    """

    space: str
    base_hash: str
    suite_hash: str
    data_hash: str | None
    contract_hash: str | None
    objectives: tuple[str, ...]


class EarlyScore(Settings):
    """What a trial was worth at one rung of early stopping, and what followed from it.

    Attributes:
        images: seen by its training; the rung.
        objectives: estimates by objective name, from the attackers of early stopping; empty where a reason is given.
        reason: why the trial could not be judged there; it goes on, and no other is compared with it.
        seconds: wall time of judging.
        rank, of: place among the trials that had reached the rung until then, 1 the best; None until it is known.
        verdict: "goes on", "stopped", or "control" for a trial that runs to its end although it would be stopped; None
            until it is known.
    """

    images: int
    objectives: dict[str, Estimate] = {}
    reason: str | None = None
    seconds: float = 0.0
    rank: int | None = None
    of: int | None = None
    verdict: Literal["goes on", "stopped", "control"] | None = None


class Attempt(NamedTuple):
    """A process that works on a trial.

    Attributes:
        started: seconds since 1970.
        host: its machine.
        process: its number there.
    """

    started: float
    host: str
    process: int


class TrialRecord(Settings):
    """One finished trial, written once by the process that ran it.

    Attributes:
        number: number of the trial in the study.
        state: "valid" trials have objectives; every other state has a reason instead. Nothing is wrong with a "stopped"
            trial: it was ended early.
        trainable, family, label: which method this is.
        params: the trainable's resolved settings.
        sampled: values by the names that the search space asked for them under.
        seed: seed of the trial.
        objectives: estimates by objective name; empty unless valid.
        synthetic: whether the values come from a problem without faces.
        strength: settings of the one attacker that this trial was judged by at a strength of its own, by its name;
            empty for trials judged by the study's suite.
        detector: detector that found and aligned the faces of this trial; None for trials on the study's own crops.
        training_faces: how many faces the anonymizer was trained on, and how many were left out, by kind.
        trainings: images seen by each training that the anonymizer rests on; see `TrialOutcome`.
        notes: sentences that a reader of the score must know.
        score: the whole score card, where the protocol judged the trial.
        reason: why the trial is not valid.
        early_scores: at the rungs of early stopping that it reached, first to last.
        seconds: wall time by part.
        peak_memory_bytes: largest resident size of the trial's process so far.
    """

    number: int
    state: TrialState
    trainable: str
    family: str
    label: str
    params: dict[str, Any] = {}
    sampled: dict[str, Any] = {}
    seed: int = 0
    objectives: dict[str, Estimate] = {}
    synthetic: bool = False
    strength: dict[str, dict[str, Any]] = {}
    detector: str | None = None
    training_faces: dict[str, int] = {}
    trainings: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    score: TrialScore | None = None
    reason: str | None = None
    early_scores: tuple[EarlyScore, ...] = ()
    seconds: dict[str, float] = {}
    peak_memory_bytes: int = Field(0, ge=0)

    @property
    def compares(self) -> StudyKind:
        """What the study of this trial compares."""
        if self.detector is not None:
            return "detectors"
        return "attackers" if self.strength else "anonymizers"


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

    def images_seen(self, number: int) -> int:
        """Images that a trial's training had seen when it last reported; 0 where it never did."""
        path = self.progress_path(number)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        seen = [json.loads(line)["progress/images"] for line in lines if line.endswith("}")]
        return int(max(seen, default=0))

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
        attempt = Attempt(time.time(), socket.gethostname(), os.getpid())
        with (self.trial(number) / "attempts.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(attempt._asdict()) + "\n")

    def attempts(self, number: int) -> list[Attempt]:
        """Processes that have worked on a trial, first to last."""
        path = self.trial(number) / "attempts.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [Attempt(**json.loads(line)) for line in lines if line.endswith("}")]

    def finished(self) -> list[int]:
        """Numbers of all trials that have a record, in order."""
        return sorted(int(path.parent.name) for path in self.path.glob("trials/*/record.json"))

    def records(self) -> list[TrialRecord]:
        """Records of all finished trials, in order of their numbers."""
        paths = sorted(self.path.glob("trials/*/record.json"))
        return [_parse_record(path) for path in paths]

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
