"""What MLflow holds of a study, read back, and the run that keeps the numbers of its report."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from veil.config import StudyConfig, hash_values
from veil.errors import TrackingError
from veil.records import TrialRecord
from veil.tracking.metrics import trial_metrics
from veil.tracking.server import HOST, PORT
from veil.tracking.tracker import KIND, TRIAL, local_uri

CONTENT = "veil.report_content"
BATCH = 900


@dataclass(frozen=True)
class StudyRuns:
    """The runs of a study.

    Attributes:
        uri: tracking server or database.
        experiment: id.
        sweep: the study's own run.
        trials: run of each trial, by its number.
        others: runs by id, those of sealed looks among them.
    """

    uri: str
    experiment: str
    sweep: Run
    trials: Mapping[int, Run]
    others: Mapping[str, Run] = field(default_factory=dict)

    def address(self, run_id: str) -> str:
        """Where a browser finds a run; that of a local database while `veil ui` runs."""
        server = self.uri.rstrip("/") if self.uri.startswith("http") else f"http://{HOST}:{PORT}"
        return f"{server}/#/experiments/{self.experiment}/runs/{run_id}"


def read_runs(config: StudyConfig) -> StudyRuns:
    """Read all runs of a study but those of single attackers.

    Raises:
        TrackingError: the store cannot be read, or does not know the study.
    """
    uri = config.tracking.uri or local_uri(config.root)
    if config.tracking.uri is None and not (config.root / "mlflow.db").is_file():
        raise TrackingError(f"there is no tracking database {config.root / 'mlflow.db'}; {_resume(config)}")
    with _translated(f"read the runs of study {config.study!r} at {uri}"):
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(config.study)
        if experiment is None:
            raise TrackingError(f"MLflow at {uri} does not know the study {config.study!r}; {_resume(config)}")
        found = _search(client, experiment.experiment_id, f"tags.`{KIND}` != 'attacker'")
    sweeps = [run for run in found if run.data.tags[KIND] == "sweep"]
    if not sweeps:
        raise TrackingError(f"MLflow at {uri} holds no sweep of study {config.study!r}; {_resume(config)}")
    trials = {int(run.data.tags[TRIAL]): run for run in found if run.data.tags[KIND] == "trial"}
    others = {run.info.run_id: run for run in found if run.data.tags[KIND] not in ("sweep", "trial")}
    return StudyRuns(uri, str(experiment.experiment_id), sweeps[0], trials, others)


def contradictions(record: TrialRecord, run: Run) -> list[str]:
    """Metrics of a trial's run that say something else than its record, a phrase each."""
    metrics = run.data.metrics
    return [
        f"{key} is {value:g} in its record and {metrics[key]:g} in MLflow"
        for key, value in trial_metrics(record).items()
        if key in metrics and abs(metrics[key] - value) > 1e-9 * max(1.0, abs(value))
    ]


def keep_report(runs: StudyRuns, metrics: Mapping[str, float]) -> str:
    """Keep the numbers that a report has computed in a run of its own, and return its id; equal reports share one.

    Raises:
        TrackingError: the store refuses.
    """
    content = hash_values(dict(metrics))
    with _translated(f"keep the numbers of the report at {runs.uri}"):
        client = MlflowClient(tracking_uri=runs.uri)
        for run in runs.others.values():
            if run.data.tags.get(CONTENT) == content:
                return str(run.info.run_id)
        tags = {KIND: "report", CONTENT: content, MLFLOW_RUN_NAME: "report"}
        tags[MLFLOW_PARENT_RUN_ID] = runs.sweep.info.run_id
        run_id = str(client.create_run(runs.experiment, tags=tags).info.run_id)
        now = int(time.time() * 1000)
        logged = [Metric(key, value, now, 0) for key, value in metrics.items()]
        for start in range(0, len(logged), BATCH):
            client.log_batch(run_id, metrics=logged[start : start + BATCH])
        return run_id


def attach_report(runs: StudyRuns, run_id: str, page: Path) -> None:
    """Keep the page beside its numbers, and end their run.

    Raises:
        TrackingError: the store refuses.
    """
    with _translated(f"keep {page.name} at {runs.uri}"):
        client = MlflowClient(tracking_uri=runs.uri)
        client.log_artifact(run_id, str(page))
        client.set_terminated(run_id)


def _search(client: MlflowClient, experiment: str, condition: str) -> list[Run]:
    found: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment], condition, max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _resume(config: StudyConfig) -> str:
    return f"`veil resume {config.study} --root {config.root}` mirrors its trials"


@contextmanager
def _translated(action: str) -> Iterator[None]:
    try:
        yield
    except (MlflowException, OSError) as error:
        raise TrackingError(f"cannot {action}: {error}; check `tracking.uri`") from error
