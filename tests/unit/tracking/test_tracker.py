"""Mirroring a study to MLflow: three levels, each trial once, and a store that is away is one clear error."""

import json
import socket
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from veil.config import StudyConfig
from veil.errors import ConfigError, TrackingError
from veil.protocol.score import Estimate, RungScore, TrialScore
from veil.records import EarlyScore, Manifest, TrialRecord
from veil.study import StudyFolder
from veil.tracking import Tracker
from veil.tracking.metrics import trial_metrics
from veil.tracking.models import ModelName
from veil.tracking.server import check_port_free

MANIFEST = Manifest(
    space="smoke",
    base_hash="b",
    suite_hash="suite",
    data_hash="data",
    contract_hash="crop",
    objectives=("leak", "utility"),
)


def rung(name: str, tar: float) -> RungScore:
    return RungScore(
        name=name,
        rung="A0" if name == "control" else "A3",
        recognizer="sface",
        tar=Estimate(value=tar, low=tar - 0.1, high=min(tar + 0.1, 1.0)),
        eer=0.1,
        auc=0.9,
        rank_1=0.8,
        rank_5=0.9,
        n_identities=10,
        n_genuine=450,
        n_impostor=4500,
        floor_mean=0.01,
        floor_95=0.02,
    )


def record(number: int, state: str = "valid") -> TrialRecord:
    leak, utility = Estimate(value=0.4, low=0.3, high=0.5), Estimate(value=0.8, low=0.7, high=0.9)
    score = TrialScore(
        valid=state == "valid",
        reason=None if state == "valid" else "control too low",
        rungs=(rung("control", 0.99), rung("parrot", 0.4)),
        strongest="parrot",
        objectives={"leak": leak, "utility": utility} if state == "valid" else {},
        target_split="search",
        n_images=100,
        undetected=0,
        suite_hash="suite",
        data_hash="data",
        contract_hash="crop",
    )
    return TrialRecord(
        number=number,
        state=state,
        trainable="baseline",
        family="classical",
        label="blur 31",
        params={"method": "blur", "kernel": 31},
        objectives=score.objectives,
        score=score,
        reason=score.reason,
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyConfig:
    """A study folder with a tracking database, made once: creating the schema takes seconds."""
    config = StudyConfig(study="toy", root=tmp_path_factory.mktemp("studies"))
    StudyFolder(config.folder).create(config, MANIFEST)
    Tracker(config, MANIFEST)
    return config


def runs(config: StudyConfig, kind: str) -> list[Run]:
    client = MlflowClient(f"sqlite:///{config.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(config.study)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], f"tags.`veil.kind` = '{kind}'"))


def test_three_levels_each_exactly_once(study: StudyConfig) -> None:
    folder = StudyFolder(study.folder)
    finished = record(3)
    folder.write_record(finished)
    for _ in range(2):  # a driver that was killed between two writes mirrors again
        Tracker(study, MANIFEST).log_trial(finished, folder)
    (sweep,) = runs(study, "sweep")
    (trial,) = [run for run in runs(study, "trial") if run.data.tags["veil.trial"] == "3"]
    attackers = [run for run in runs(study, "attacker") if run.data.tags["veil.trial"] == "3"]
    assert trial.data.tags["mlflow.parentRunId"] == sweep.info.run_id
    assert {run.data.tags["mlflow.parentRunId"] for run in attackers} == {trial.info.run_id}
    assert sorted(run.data.params["attacker"] for run in attackers) == ["control", "parrot"]
    assert trial.data.metrics["objective/leak"] == 0.4
    assert trial.data.metrics["attack/parrot/tar_high"] == 0.5
    assert trial.data.params["kernel"] == "31"
    assert trial.data.tags["veil.suite_hash"] == "suite"
    assert trial.info.status == "FINISHED"
    artifacts = MlflowClient(f"sqlite:///{study.root / 'mlflow.db'}").list_artifacts(trial.info.run_id)
    assert [item.path for item in artifacts] == ["record.json"]


def test_a_trial_that_was_stopped_early_keeps_its_rungs_and_no_objective(study: StudyConfig) -> None:
    folder = StudyFolder(study.folder)
    early = tuple(
        EarlyScore(
            images=images, objectives={"leak": Estimate(value=leak, low=leak, high=leak)}, rank=rank, of=5,
            verdict="goes on" if images == 9 else "stopped",
        )
        for images, leak, rank in ((9, 0.7, 2), (27, 0.6, 4))
    )  # fmt: skip
    stopped = record(8, "invalid").model_copy(
        update={"state": "stopped", "score": None, "reason": "rung 27: rank 4 of 5 by leak", "early_scores": early}
    )
    Tracker(study, MANIFEST).log_trial(stopped, folder)
    (trial,) = [run for run in runs(study, "trial") if run.data.tags["veil.trial"] == "8"]
    assert (trial.info.status, trial.data.tags["veil.state"]) == ("KILLED", "stopped")
    assert trial.data.tags["veil.reason"] == "rung 27: rank 4 of 5 by leak"
    assert not any(key.startswith("objective/") for key in trial.data.metrics)
    client = MlflowClient(f"sqlite:///{study.root / 'mlflow.db'}")
    for key, values in (("rung/leak", [0.7, 0.6]), ("rung/rank", [2.0, 4.0]), ("rung/of", [5.0, 5.0])):
        history = client.get_metric_history(trial.info.run_id, key)
        assert [(point.step, point.value) for point in history] == list(zip((9, 27), values, strict=True))


def test_trial_that_was_half_logged_is_completed(study: StudyConfig) -> None:
    folder = StudyFolder(study.folder)
    tracker = Tracker(study, MANIFEST)
    tracker.log_progress(4, [{"progress/images": 100.0, "loss/rec": 0.5}])
    again = Tracker(study, MANIFEST)
    again.log_progress(4, [{"progress/images": 100.0, "loss/rec": 0.6}, {"progress/images": 200.0, "loss/rec": 0.3}])
    again.log_trial(record(4), folder)
    (trial,) = [run for run in runs(study, "trial") if run.data.tags["veil.trial"] == "4"]
    client = MlflowClient(f"sqlite:///{study.root / 'mlflow.db'}")
    history = [(point.step, point.value) for point in client.get_metric_history(trial.info.run_id, "loss/rec")]
    assert history == [(100, 0.5), (200, 0.3)]
    assert trial.info.status == "FINISHED"
    again.log_progress(4, [{"progress/images": 300.0, "loss/rec": 0.1}])
    assert len(client.get_metric_history(trial.info.run_id, "loss/rec")) == 2, "late news of a trial that has ended"


def test_losses_that_were_missed_are_logged_with_the_trial_each_once(study: StudyConfig) -> None:
    folder = StudyFolder(study.folder)
    folder.trial(6).mkdir(parents=True)
    lines = [json.dumps({"progress/images": step, "loss/rec": step / 1000}) for step in (100, 200, 300, 300)]
    folder.progress_path(6).write_text("\n".join([*lines, '{"progress/ima']) + "\n", encoding="utf-8")
    tracker = Tracker(study, MANIFEST)
    tracker.log_progress(6, [{"progress/images": 100.0, "loss/rec": 0.1}])
    tracker.log_trial(record(6), folder)
    (trial,) = [run for run in runs(study, "trial") if run.data.tags["veil.trial"] == "6"]
    history = MlflowClient(f"sqlite:///{study.root / 'mlflow.db'}").get_metric_history(trial.info.run_id, "loss/rec")
    assert [(point.step, point.value) for point in history] == [(100, 0.1), (200, 0.2), (300, 0.3)]


def test_invalid_trial_has_no_objective_but_keeps_its_measurements() -> None:
    metrics = trial_metrics(record(0, state="invalid"))
    assert not [key for key in metrics if key.startswith("objective/")]
    assert metrics["attack/control/tar"] == 0.99


def test_invalid_trial_is_a_failed_run_that_says_why(study: StudyConfig) -> None:
    Tracker(study, MANIFEST).log_trial(record(5, state="invalid"), StudyFolder(study.folder))
    (trial,) = [run for run in runs(study, "trial") if run.data.tags["veil.trial"] == "5"]
    assert trial.info.status == "FAILED"
    assert trial.data.tags["veil.reason"] == "control too low"


def test_experiment_of_another_suite_is_refused(study: StudyConfig) -> None:
    with pytest.raises(TrackingError, match="another attack suite"):
        Tracker(study, MANIFEST.model_copy(update={"suite_hash": "other"}))


def test_store_that_is_away_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    config = StudyConfig.parse({"root": str(tmp_path), "tracking": {"uri": f"http://127.0.0.1:{port}"}}, where="test")
    with pytest.raises(TrackingError, match=rf"127\.0\.0\.1:{port}.*tracking\.uri"):
        Tracker(config, MANIFEST)


def test_port_in_use_is_refused() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port}.*--port"):
            check_port_free(port)
    check_port_free(port)


@pytest.mark.parametrize("text", ["name", "name@", "@alias", "na me@alias", "name@v1", "a@b@c"])
def test_malformed_model_name_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="NAME@ALIAS"):
        ModelName.parse(text)
