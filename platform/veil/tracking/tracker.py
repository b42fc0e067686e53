"""Study → sweep run → trial runs → attacker runs, written by the driver alone and safe to repeat."""

import logging
import math
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE
from PIL import Image

from veil.config import StudyConfig, flatten
from veil.errors import TrackingError
from veil.json_lines import read_json_lines
from veil.protocol.score import RungScore
from veil.records import Manifest, TrialRecord
from veil.study import THUMBNAIL, StudyFolder
from veil.tracking.metrics import early_metrics, rung_metrics, trial_metrics
from veil.tracking.tags import own_conditions, trial_tags
from veil.tracking.views import FACES, VIEW, saved_view

KIND = "veil.kind"
TRIAL = "veil.trial"
ATTACKER = "veil.attacker"
STEP_METRIC = "progress/images"
# The pages for training runs, not those for language models, open first.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
RUN_STATUS = {
    "valid": "FINISHED", "invalid": "FAILED", "diverged": "FAILED", "failed": "FAILED", "stopped": "KILLED",
}  # fmt: skip

SWEEP_NOTE = f"""Each nested run is one trial of this study; below it lies one run per attacker.

**objective/leak** is the worst TAR at the suite's FAR over all attackers (lower is better), **objective/utility** the
agreement of expression posteriors before and after (higher is better); `_low` and `_high` bound the 95 % interval over
people.
A run that is *killed* was stopped early (tag `veil.state`); its **rung/…** metrics say what it was worth until then.
The saved view *{VIEW}* (menu *Views*) shows the trials alone, with their trade-off, parallel coordinates and faces.
The artifact `frontier.html` shows the Pareto frontier, `robustness.html` of a study of attackers leak against strength,
`sensitivity.html` of a study of detectors what depends on them.
"""


DATABASE = "mlflow.db"


def local_uri(root: Path) -> str:
    """Address of the tracking database beside the studies."""
    return f"sqlite:///{(root / DATABASE).resolve()}"


def _let_readers_in(database: Path) -> None:
    """Keep a write-ahead log: pages are read while a sweep writes, and a commit waits for the disk once."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


_ARTIFACTS = (
    "record.json",
    "error.txt",
    "grid.png",
    "roc.png",
    "cmc.png",
    "failures.webp",
    "score.json",
    "spreads.npz",
    "generator",
)


BATCH = 900
"""Entries of a batch, of which MLflow takes 1000 at most."""


@dataclass
class _TrialRun:
    """What is known of a trial's run in the store.

    Attributes:
        id: of the run.
        ended: whether all of the trial is there.
        made_here: whether this process made it, so that nothing is there that this process does not know of.
        steps: images at which losses are there; None where the store has to be asked.
    """

    id: str
    ended: bool = False
    made_here: bool = False
    steps: set[int] | None = None


class Tracker:
    """One study's runs in MLflow.

    As the only writer, it asks the store once which runs there are. After a failed request it asks again, since the
    store may or may not have done what was asked for.

    Args:
        config: of the study.
        manifest: of the study.
        sweeping: whether the sweep goes on; otherwise something is added to one that has ended.

    Raises:
        TrackingError: the server or database cannot be used.
    """

    def __init__(self, config: StudyConfig, manifest: Manifest, sweeping: bool = True) -> None:
        # Schema migrations of a new database are told step by step, which buries what a user must read.
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        # A server's client would print two addresses for each run that ends, between the lines of the sweep.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        # A store that is away is tried again later; MLflow itself would insist for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        self._config = config
        self._manifest = manifest
        self._sweeping = sweeping
        self.uri = config.tracking.uri or local_uri(config.root)
        self._known: dict[int, _TrialRun] | None = None
        with self._translated("open the tracking store"):
            self._client = MlflowClient(tracking_uri=self.uri)
            if config.tracking.uri is None:
                _let_readers_in(config.root / DATABASE)
            self.experiment_id = self._experiment()
            self.sweep_run_id = self._sweep_run().info.run_id

    def _experiment(self) -> str:
        existing = self._client.get_experiment_by_name(self._config.study)
        if existing is not None:
            if existing.lifecycle_stage != "active":
                raise TrackingError(
                    f"the MLflow experiment {self._config.study!r} is deleted; "
                    "restore it, or choose another --set study=NAME"
                )
            return str(existing.experiment_id)
        local = self._config.tracking.uri is None
        artifacts = (self._config.root / "mlartifacts" / self._config.study).resolve().as_uri() if local else None
        return str(
            self._client.create_experiment(self._config.study, artifact_location=artifacts, tags=EXPERIMENT_TAGS)
        )

    def _identity_tags(self) -> dict[str, str]:
        values = {
            "veil.suite_hash": self._manifest.suite_hash,
            "veil.data_hash": self._manifest.data_hash,
            "veil.contract_hash": self._manifest.contract_hash,
            "veil.space": self._manifest.space,
        }
        return {key: value for key, value in values.items() if value is not None}

    def _sweep_run(self) -> Run:
        found = self._find({KIND: "sweep"})
        if found:
            if any(found[0].data.tags.get(key) != value for key, value in self._identity_tags().items()):
                raise TrackingError(
                    f"the MLflow experiment {self._config.study!r} at {self.uri} holds a sweep with another attack "
                    "suite or other data; choose another --set study=NAME"
                )
            if self._sweeping:
                self._client.update_run(found[0].info.run_id, status="RUNNING")
            return found[0]
        tags = {KIND: "sweep", MLFLOW_RUN_NAME: f"sweep {self._config.study}", MLFLOW_RUN_NOTE: SWEEP_NOTE}
        run = self._client.create_run(self.experiment_id, tags={**tags, **self._identity_tags()})
        self._log(run.info.run_id, params=self._config.flatten())
        return run

    def _find(self, tags: Mapping[str, str]) -> list[Run]:
        condition = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        return list(self._client.search_runs([self.experiment_id], condition, max_results=100))

    def _trial_runs(self) -> dict[int, _TrialRun]:
        if self._known is None:
            known: dict[int, _TrialRun] = {}
            token: str | None = None
            while True:
                page = self._client.search_runs(
                    [self.experiment_id], f"tags.`{KIND}` = 'trial'", max_results=1000, page_token=token
                )
                for run in page:
                    known[int(run.data.tags[TRIAL])] = _TrialRun(run.info.run_id, run.info.status != "RUNNING")
                token = page.token
                if not token:
                    break
            self._known = known
        return self._known

    def _trial_run(self, number: int, tags: Mapping[str, str]) -> _TrialRun:
        """Run of a trial, with these tags: they cost nothing with a new one."""
        runs = self._trial_runs()
        if number in runs:
            self._log(runs[number].id, tags=tags)
            return runs[number]
        kind = {KIND: "trial", TRIAL: str(number), MLFLOW_PARENT_RUN_ID: self.sweep_run_id}
        run = self._client.create_run(self.experiment_id, tags={**kind, **self._identity_tags(), **tags})
        runs[number] = _TrialRun(run.info.run_id, made_here=True, steps=set())
        return runs[number]

    def log_progress(self, number: int, points: Sequence[Mapping[str, float]]) -> None:
        """Losses of a running trial, each point with its `progress/images`; what is logged already is left alone."""
        with self._translated("log training progress"):
            known = self._trial_runs().get(number)
            run = known or self._trial_run(number, {MLFLOW_RUN_NAME: f"#{number:03d}"})
            if not run.ended:
                self._log(run.id, self._new_losses(run, points))

    def log_trial(self, record: TrialRecord, folder: StudyFolder) -> None:
        """Mirror a finished trial with its attackers and artifacts; a trial already mirrored is left alone."""
        with self._translated(f"log trial {record.number}"):
            known = self._trial_runs().get(record.number)
            if known is not None and known.ended:
                return
            name = {MLFLOW_RUN_NAME: f"#{record.number:03d} {record.label}"}
            run = self._trial_run(record.number, name | trial_tags(record))
            metrics = _at_step(trial_metrics(record), 0)
            metrics += self._new_losses(run, read_json_lines(folder.progress_path(record.number)))
            for early in record.early_scores:
                metrics += _at_step(early_metrics(early), early.images)
            params = {"trainable": record.trainable, "seed": record.seed, **flatten(record.params)}
            self._log(run.id, metrics, params)
            if record.score is not None:
                self._log_attackers(run, record, record.score.rungs)
            self._log_artifacts(run.id, folder.trial(record.number))
            self._client.set_terminated(run.id, status=RUN_STATUS[record.state])
            run.ended, run.steps = True, set()

    def log_missing(self, folder: StudyFolder) -> None:
        """Mirror all finished trials that are not there, and bring the view with which the pages open up to date."""
        with self._translated("list trials"):
            ended = {number for number, run in self._trial_runs().items() if run.ended}
        for number in folder.finished():
            if number not in ended and (record := folder.record(number)) is not None:
                self.log_trial(record, folder)
        self.save_view(folder.records())

    def _new_losses(self, run: _TrialRun, points: Sequence[Mapping[str, float]]) -> list[Metric]:
        """Points that the store lacks, which it has from now on."""
        if not points:
            return []
        if run.steps is None:
            run.steps = {point.step for point in self._client.get_metric_history(run.id, STEP_METRIC)}
        found: list[Metric] = []
        for point in points:
            step = int(point[STEP_METRIC])
            if step not in run.steps:
                run.steps.add(step)
                found += _at_step(point, step)
        return found

    def _log_attackers(self, trial: _TrialRun, record: TrialRecord, rungs: Sequence[RungScore]) -> None:
        there: dict[str, Run] = {}
        if not trial.made_here:
            found = self._find({KIND: "attacker", TRIAL: str(record.number)})
            there = {run.data.tags[ATTACKER]: run for run in found}
        for rung in rungs:
            run = there.get(f"{rung.recognizer}/{rung.name}")
            if run is None or run.info.status == "RUNNING":
                self._log_attacker(trial.id, record, rung, run)

    def _log_attacker(self, parent: str, record: TrialRecord, rung: RungScore, run: Run | None) -> None:
        if run is None:
            name = f"#{record.number:03d} {rung.rung} {rung.name} ({rung.recognizer})"
            tags = {KIND: "attacker", TRIAL: str(record.number), ATTACKER: f"{rung.recognizer}/{rung.name}"}
            tags |= {MLFLOW_RUN_NAME: name, MLFLOW_PARENT_RUN_ID: parent, "veil.rung": rung.rung}
            tags |= self._identity_tags() | own_conditions(record)
            run = self._client.create_run(self.experiment_id, tags=tags)
        params = {"attacker": rung.name, "rung": rung.rung, "recognizer": rung.recognizer}
        self._log(run.info.run_id, _at_step(rung_metrics(rung), 0), params)
        self._client.set_terminated(run.info.run_id)

    def _log_artifacts(self, run_id: str, folder: Path) -> None:
        for path in (*(folder / name for name in _ARTIFACTS), *sorted(folder.glob("reconstructions-*.png"))):
            if path.is_dir():
                self._client.log_artifacts(run_id, str(path), artifact_path=path.name)
            elif path.exists():
                self._client.log_artifact(run_id, str(path))
        if (folder / THUMBNAIL).is_file():
            with Image.open(folder / THUMBNAIL) as faces:
                # Logged under a key, pictures of many trials stand side by side in the pages.
                self._client.log_image(run_id, faces.convert("RGB"), key=FACES, step=0)

    def save_view(self, records: Sequence[TrialRecord]) -> None:
        """Bring the view with which the pages open this study up to date with its finished trials."""
        with self._translated("save the view of the study"):
            self._client.set_experiment_tag(self.experiment_id, *saved_view(records, self._config.search.objectives))

    def log_event(
        self, name: str, metrics: Mapping[str, float], tags: Mapping[str, str], files: Mapping[str, str] | None = None
    ) -> str:
        """A run of its own below the sweep, for example one sealed rescoring; returns its id.

        Args:
            name: of the run.
            metrics: values by key.
            tags: beside those of the study.
            files: contents of text artifacts by name.
        """
        with self._translated(f"log {name}"):
            kind = {KIND: "event", MLFLOW_RUN_NAME: name, MLFLOW_PARENT_RUN_ID: self.sweep_run_id}
            run = self._client.create_run(self.experiment_id, tags={**kind, **self._identity_tags(), **tags})
            self._log(run.info.run_id, _at_step(metrics, 0))
            for path, text in (files or {}).items():
                self._client.log_text(run.info.run_id, text, path)
            self._client.set_terminated(run.info.run_id)
            return str(run.info.run_id)

    def tag_sweep(self, tags: Mapping[str, str]) -> None:
        """Set tags of the sweep run."""
        with self._translated("tag the sweep"):
            for key, value in tags.items():
                self._client.set_tag(self.sweep_run_id, key, value)

    def close_sweep(self, page: Path, metrics: Mapping[str, float], finished: bool) -> None:
        """Attach the study's page and end the sweep run, or leave it to be resumed."""
        with self._translated("close the sweep"):
            self._log(self.sweep_run_id, _at_step(metrics, 0))
            if page.exists():
                self._client.log_artifact(self.sweep_run_id, str(page))
            self._client.set_terminated(self.sweep_run_id, status="FINISHED" if finished else "KILLED")

    def trial_run_id(self, number: int) -> str:
        """Run of a trial."""
        with self._translated(f"find trial {number}"):
            return self._trial_runs()[number].id

    def _log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        said = [Param(key, str(value)) for key, value in (params or {}).items()]
        marked = [RunTag(key, value) for key, value in (tags or {}).items()]
        if said or marked or metrics:
            self._client.log_batch(run_id, metrics=metrics[:BATCH], params=said, tags=marked)
        for start in range(BATCH, len(metrics), BATCH):
            self._client.log_batch(run_id, metrics=metrics[start : start + BATCH])

    @contextmanager
    def _translated(self, action: str) -> Iterator[None]:
        """Turn whatever the store raises into an error that names the address and the setting."""
        try:
            yield
        except (MlflowException, OSError, sqlite3.Error) as error:
            self._known = None
            raise TrackingError(
                f"cannot {action} at {self.uri}: {str(error).splitlines()[0] if str(error) else error!r}; "
                "finished trials are kept in the study folder; check `tracking.uri`, then run `veil resume`"
            ) from error


def _at_step(metrics: Mapping[str, float], step: int) -> list[Metric]:
    """Metrics as MLflow takes them, without those that are not finite."""
    now = int(time.time() * 1000)
    return [Metric(key, float(value), now, step) for key, value in metrics.items() if math.isfinite(value)]
