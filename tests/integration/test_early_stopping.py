"""Early stopping, constraints and a warm start in whole sweeps of the analytic problem."""

import csv
import io
from pathlib import Path

import optuna
import pytest
import yaml
from mlflow import MlflowClient
from optuna.storages import JournalStorage
from optuna.trial import TrialState
from study_helpers import call_veil, mlflow_runs, optuna_trials, run_veil

from veil.study import StudyFolder
from veil.sweep.stopping import is_control
from veil.trial_log import ReadOnlyJournal

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

TRIALS = 12
RUNGS = (9, 27)
CONTROLS = 0.5


def write_study(root: Path, name: str, **search: object) -> Path:
    path = root / f"{name}.yaml"
    values = {"study": name, "root": str(root / "studies"), "search": {"space": "analytic", **search}}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyFolder, str]:
    """A study that stops trials early, and what its sweep printed."""
    root = tmp_path_factory.mktemp("studies")
    stopping = {"rungs": list(RUNGS), "controls": CONTROLS}
    path = write_study(root, "halving", trials=TRIALS, sampler="random", early_stopping=stopping)
    result = run_veil("sweep", "--config", str(path), timeout=580)
    assert result.returncode == 0, result.stdout + result.stderr
    return StudyFolder(root / "studies" / "halving"), result.stdout


def test_stopped_trials_are_told_as_such_everywhere(swept: tuple[StudyFolder, str]) -> None:
    folder, printed = swept
    records = folder.records()
    trials, runs = (
        optuna_trials(folder),
        {int(run.data.tags["veil.trial"]): run for run in mlflow_runs(folder, "trial")},
    )
    assert [record.number for record in records] == sorted(runs) == [trial.number for trial in trials]
    states = [record.state for record in records]
    assert len(records) == TRIALS and set(states) == {"valid", "stopped"}
    assert f"{states.count('stopped')} stopped early" in printed and "Early stopping ended" in printed
    client = MlflowClient(f"sqlite:///{folder.path.parent / 'mlflow.db'}")
    for record, trial in zip(records, trials, strict=True):
        run = runs[record.number]
        history = client.get_metric_history(run.info.run_id, "rung/leak")
        assert {point.step: point.value for point in history} == {
            score.images: score.objectives["leak"].value for score in record.early_scores
        }
        assert run.data.tags["veil.state"] == record.state
        if record.state == "valid":
            assert (trial.state, run.info.status) == (TrialState.COMPLETE, "FINISHED")
            continue
        last = record.early_scores[-1]
        assert (trial.state, trial.values, run.info.status) == (TrialState.PRUNED, None, "KILLED")
        assert not record.objectives and not any(key.startswith("objective/") for key in run.data.metrics)
        assert record.reason == f"rung {last.images}: rank {last.rank} of {last.of} by leak, utility"
        assert record.trainings == {f"trial-{record.number:05d}": last.images}


def test_every_verdict_follows_from_the_rule(swept: tuple[StudyFolder, str]) -> None:
    folder, _ = swept
    for record in folder.records():
        *passed, last = record.early_scores
        assert [score.images for score in record.early_scores] == list(RUNGS[: len(record.early_scores)])
        assert all(score.verdict == "goes on" for score in passed)
        for score in record.early_scores:
            assert score.rank is not None and score.of is not None and 1 <= score.rank <= score.of <= TRIALS
            assert (score.verdict == "goes on") == ((score.rank - 1) * 3 <= score.of)
        ended = {"goes on": "valid", "control": "valid", "stopped": "stopped"}
        assert record.state == ended[last.verdict or ""]
        assert (last.verdict == "stopped") <= (not is_control(0, record.number, CONTROLS))
    verdicts = {record.early_scores[-1].verdict for record in folder.records()}
    assert verdicts == {"goes on", "control", "stopped"}


def test_the_frontier_says_what_was_saved_and_lists_what_was_stopped(swept: tuple[StudyFolder, str]) -> None:
    folder, _ = swept
    shown = call_veil("frontier", folder.name, "--root", str(folder.path.parent), "--csv", "-")
    rows = {int(row["trial"]): row["standing"] for row in csv.DictReader(io.StringIO(shown.stdout))}
    assert {number for number, standing in rows.items() if standing == "stopped"} == {
        record.number for record in folder.records() if record.state == "stopped"
    }
    assert "as controls" in folder.page_path.read_text(encoding="utf-8")


def test_another_study_starts_from_it(swept: tuple[StudyFolder, str]) -> None:
    folder, _ = swept
    root = folder.path.parent.parent
    path = write_study(root, "warm", trials=2, warm_start="halving", constraints={"leak": 0.3})
    result = run_veil("sweep", "--config", str(path), timeout=580)
    assert result.returncode == 0, result.stdout + result.stderr
    warm = StudyFolder(folder.path.parent / "warm")
    known = {f"halving/{record.number}" for record in folder.records() if record.state == "valid"}
    trials = optuna_trials(warm)
    assert {trial.user_attrs["warm_start"] for trial in trials if "warm_start" in trial.user_attrs} == known
    own = [trial.number for trial in trials if "warm_start" not in trial.user_attrs]
    assert own == [record.number for record in warm.records()] and len(own) == 2
    assert own == sorted(int(run.data.tags["veil.trial"]) for run in mlflow_runs(warm, "trial"))
    for trial in trials:
        assert trial.constraints == {"leak": pytest.approx(trial.values[0] - 0.3)}
    study = optuna.load_study(study_name="warm", storage=JournalStorage(ReadOnlyJournal(str(warm.optuna_path))))
    assert all(trial.values[0] <= 0.3 for trial in study.best_trials)

    refused = call_veil("sweep", "--config", str(path), "--set", "study=other", "--set", "suite.far=0.02")
    assert refused.returncode == 2 and "suite_hash" in refused.stderr
    assert not (folder.path.parent / "other").exists()
