"""Study → sweep run → trial runs → attacker runs, written by the driver alone and safe to repeat."""

import json
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE
from PIL import Image

from veil.config import StudyConfig, flatten
from veil.errors import TrackingError
from veil.protocol.score import RungScore
from veil.study import THUMBNAIL, Manifest, StudyFolder, TrialRecord
from veil.tracking.metrics import early_metrics, rung_metrics, trial_metrics
from veil.tracking.views import FACES, VIEW, saved_view

KIND = "veil.kind"
TRIAL = "veil.trial"
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


def local_uri(root: Path) -> str:
    """Address of the tracking database beside the studies."""
    return f"sqlite:///{(root / 'mlflow.db').resolve()}"


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


class Tracker:
    """One study's runs in MLflow.

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
        self._config = config
        self._manifest = manifest
        self._sweeping = sweeping
        self.uri = config.tracking.uri or local_uri(config.root)
        self._runs: dict[int, str] = {}
        self._last_step: dict[int, int] = {}
        with self._translated("open the tracking store"):
            self._client = MlflowClient(tracking_uri=self.uri)
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

    def _trial_run(self, number: int) -> str:
        if number not in self._runs:
            found = self._find({KIND: "trial", TRIAL: str(number)})
            if found:
                run = found[0]
                self._last_step[number] = int(run.data.metrics.get(STEP_METRIC, -1))
            else:
                tags = {KIND: "trial", TRIAL: str(number), MLFLOW_RUN_NAME: f"#{number:03d}"}
                tags[MLFLOW_PARENT_RUN_ID] = self.sweep_run_id
                run = self._client.create_run(self.experiment_id, tags={**tags, **self._identity_tags()})
            self._runs[number] = run.info.run_id
        return self._runs[number]

    def log_progress(self, number: int, metrics: Mapping[str, float]) -> None:
        """Losses of a running trial, over images seen; steps already logged before a restart are left alone."""
        with self._translated("log training progress"):
            run_id = self._trial_run(number)
            step = int(metrics[STEP_METRIC])
            if step > self._last_step.get(number, -1):
                self._log(run_id, metrics=metrics, step=step)
                self._last_step[number] = step

    def log_trial(self, record: TrialRecord, folder: StudyFolder) -> None:
        """Mirror a finished trial with its attackers and artifacts; a trial already mirrored is left alone."""
        with self._translated(f"log trial {record.number}"):
            run_id = self._trial_run(record.number)
            if self._client.get_run(run_id).info.status != "RUNNING":
                return
            self._log_missed_progress(run_id, folder.progress_path(record.number))
            self._client.set_tag(run_id, MLFLOW_RUN_NAME, f"#{record.number:03d} {record.label}")
            self._log(
                run_id,
                params={"trainable": record.trainable, "seed": record.seed, **flatten(record.params)},
                metrics=trial_metrics(record),
                tags=_trial_tags(record),
            )
            for early in record.early_scores:
                self._log(run_id, metrics=early_metrics(early), step=early.images)
            if record.score is not None:
                for rung in record.score.rungs:
                    self._log_attacker(run_id, record, rung)
            self._log_artifacts(run_id, folder.trial(record.number))
            self._client.set_terminated(run_id, status=RUN_STATUS[record.state])

    def _log_missed_progress(self, run_id: str, path: Path) -> None:
        """Losses that the store was away for, or that a killed driver never passed on."""
        if not path.exists():
            return
        logged = {point.step for point in self._client.get_metric_history(run_id, STEP_METRIC)}
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                metrics = json.loads(line)
            except json.JSONDecodeError:
                continue  # The process was killed while it wrote this line; its resumed training reports again.
            step = int(metrics[STEP_METRIC])
            if step not in logged:
                self._log(run_id, metrics=metrics, step=step)
                logged.add(step)

    def _log_attacker(self, parent_run_id: str, record: TrialRecord, rung: RungScore) -> None:
        tags = {KIND: "attacker", TRIAL: str(record.number), "veil.attacker": f"{rung.recognizer}/{rung.name}"}
        found = self._find(tags)
        if found and found[0].info.status != "RUNNING":
            return
        if found:
            run_id = found[0].info.run_id
        else:
            name = f"#{record.number:03d} {rung.rung} {rung.name} ({rung.recognizer})"
            tags |= {MLFLOW_RUN_NAME: name, MLFLOW_PARENT_RUN_ID: parent_run_id, "veil.rung": rung.rung}
            tags |= self._identity_tags() | _own_conditions(record)
            run_id = self._client.create_run(self.experiment_id, tags=tags).info.run_id
        params = {"attacker": rung.name, "rung": rung.rung, "recognizer": rung.recognizer}
        self._log(run_id, params=params, metrics=rung_metrics(rung))
        self._client.set_terminated(run_id)

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
            self._log(run.info.run_id, metrics=metrics)
            for path, text in (files or {}).items():
                self._client.log_text(run.info.run_id, text, path)
            self._client.set_terminated(run.info.run_id)
            return str(run.info.run_id)

    def tag_sweep(self, tags: Mapping[str, str]) -> None:
        """Set tags of the sweep run."""
        with self._translated("tag the sweep"):
            for key, value in tags.items():
                self._client.set_tag(self.sweep_run_id, key, value)

    def mirrored(self) -> dict[int, str]:
        """Status of the run of each trial that MLflow knows, by trial number."""
        with self._translated("list trials"):
            runs: dict[int, str] = {}
            token: str | None = None
            while True:
                page = self._client.search_runs(
                    [self.experiment_id], f"tags.`{KIND}` = 'trial'", max_results=1000, page_token=token
                )
                for run in page:
                    runs[int(run.data.tags[TRIAL])] = run.info.status
                    self._runs[int(run.data.tags[TRIAL])] = run.info.run_id
                token = page.token
                if not token:
                    return runs

    def close_sweep(self, page: Path, metrics: Mapping[str, float], finished: bool) -> None:
        """Attach the study's page and end the sweep run, or leave it to be resumed."""
        with self._translated("close the sweep"):
            self._log(self.sweep_run_id, metrics=metrics)
            if page.exists():
                self._client.log_artifact(self.sweep_run_id, str(page))
            self._client.set_terminated(self.sweep_run_id, status="FINISHED" if finished else "KILLED")

    def trial_run_id(self, number: int) -> str:
        """Run of a trial."""
        with self._translated(f"find trial {number}"):
            return self._trial_run(number)

    def _log(
        self,
        run_id: str,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        step: int = 0,
    ) -> None:
        now = int(time.time() * 1000)
        measured = _finite(metrics or {})
        for start in range(0, max(len(measured), 1), 900):  # a batch holds 1000 entries at most
            self._client.log_batch(
                run_id,
                metrics=[Metric(key, value, now, step) for key, value in measured[start : start + 900]],
                params=[Param(key, str(value)) for key, value in (params or {}).items()] if start == 0 else [],
                tags=[RunTag(key, value) for key, value in (tags or {}).items()] if start == 0 else [],
            )

    def _translated(self, action: str) -> "_Translated":
        return _Translated(action, self.uri)


class _Translated:
    """Turns whatever the store raises into a TrackingError that names the address and the setting."""

    def __init__(self, action: str, uri: str) -> None:
        self._action = action
        self._uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (MlflowException, OSError)):
            raise TrackingError(
                f"cannot {self._action} at {self._uri}: {str(error).splitlines()[0] if str(error) else error!r}; "
                "finished trials are kept in the study folder; check `tracking.uri`, then run `veil resume`"
            ) from error


def _finite(metrics: Mapping[str, float]) -> list[tuple[str, float]]:
    return [(key, float(value)) for key, value in metrics.items() if math.isfinite(value)]


def _own_conditions(record: TrialRecord) -> dict[str, str]:
    """Tags of a trial that was judged under other conditions than its study's: a suite, or crops, of its own."""
    if record.score is None or record.compares == "anonymizers":
        return {}
    if record.compares == "attackers":
        return {"veil.suite_hash": record.score.suite_hash}
    return {
        "veil.detector": str(record.detector),
        "veil.data_hash": record.score.data_hash,
        "veil.contract_hash": record.score.contract_hash,
    }


def _trial_tags(record: TrialRecord) -> dict[str, str]:
    tags = {
        "veil.family": record.family,
        "veil.state": record.state,
        "veil.label": record.label,
        "veil.synthetic": str(record.synthetic).lower(),
        **_own_conditions(record),
    }
    if record.training_faces:
        tags["veil.training_faces"] = ", ".join(f"{count} {kind}" for kind, count in record.training_faces.items())
    if record.reason is not None:
        tags["veil.reason"] = record.reason[:4000]
        tags[MLFLOW_RUN_NOTE] = f"**{record.state}**: {record.reason}"
    if record.score is not None and record.score.strongest is not None:
        tags["veil.strongest_attacker"] = record.score.strongest
    if record.state == "valid":
        tags[MLFLOW_RUN_NOTE] = _note(record)
    return tags


def _note(record: TrialRecord) -> str:
    """What a valid trial came to, in a line."""
    by = f" by the attack {record.score.strongest}" if record.score is not None and record.score.strongest else ""
    parts = [
        f"**{name} {item.value:.2f}** [{item.low:.2f}, {item.high:.2f}]{by if name == 'leak' else ''}"
        for name, item in record.objectives.items()
    ]
    return ", ".join(parts) + ". Below this run lies one run for each attacker."
