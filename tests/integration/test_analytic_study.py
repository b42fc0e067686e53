"""The whole sweep on the problem with a known front: storage, tracking, faults and continuation."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from optuna.trial import TrialState
from study_helpers import call_veil, mlflow_runs, optuna_trials, run_veil, write_analytic_study

from veil.study import StudyFolder

WAYS = ("diverged", "error", "killed")

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for several studies, so that their tracking database is made once."""
    return tmp_path_factory.mktemp("studies")


def test_study_ends_with_the_same_trials_everywhere(studies: Path) -> None:
    study = write_analytic_study(studies, "toy", trials=4)
    result = run_veil("sweep", "--config", str(study))
    assert result.returncode == 0, result.stdout + result.stderr
    folder = StudyFolder(studies / "studies" / "toy")
    records = folder.records()
    trials = optuna_trials(folder)
    runs = {int(run.data.tags["veil.trial"]): run for run in mlflow_runs(folder, "trial")}
    assert [record.number for record in records] == [trial.number for trial in trials] == sorted(runs) == list(range(4))
    for record, trial in zip(records, trials, strict=True):
        x, y = record.params["x"], record.params["y"]
        assert trial.state == TrialState.COMPLETE
        assert trial.values == pytest.approx([x + y - x * y, x**0.5 * (1 - y)])
        logged = runs[record.number].data.metrics
        assert [logged["objective/leak"], logged["objective/utility"]] == pytest.approx(trial.values)
    (sweep,) = mlflow_runs(folder, "sweep")
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {sweep.info.run_id}
    assert folder.page_path.stat().st_size > 100_000
    assert "hypervolume" in result.stdout

    again = call_veil("sweep", "--config", str(study))
    assert again.returncode == 0, again.stderr
    assert folder.records() == records, "a finished study must not run anything again"

    other_suite = call_veil("sweep", "--config", str(study), "--set", "suite.far=0.02")
    assert other_suite.returncode == 2
    assert "suite_hash" in other_suite.stderr and "--set study=NAME" in " ".join(other_suite.stderr.split())
    assert folder.records() == records

    given = "search.anchors=[{trainable: analytic, settings: {x: 0.25}}]"
    more = run_veil("sweep", "--config", str(study), "--set", "search.trials=6", "--set", given)
    assert more.returncode == 0, more.stderr
    assert folder.records()[:4] == records and len(folder.records()) == 6
    added = folder.records()[4]
    assert (added.params["x"], added.params["y"], added.sampled) == (0.25, 0.0, {})


@pytest.fixture(scope="module")
def gone_wrong(studies: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """How sweeps ended whose every trial goes wrong in one way; side by side, since they mostly wait for processes."""
    configs = {fail: write_analytic_study(studies, f"all-{fail}", trials=2, fail=fail) for fail in WAYS}
    with ThreadPoolExecutor(len(WAYS)) as pool:
        ended = pool.map(lambda config: run_veil("sweep", "--config", str(config)), configs.values())
        return dict(zip(configs, ended, strict=True))


@pytest.mark.parametrize(
    ("fail", "state", "status"), [("diverged", "diverged", 0), ("error", "failed", 3), ("killed", "failed", 3)]
)
def test_trials_that_go_wrong_are_never_scored(
    studies: Path, gone_wrong: dict[str, subprocess.CompletedProcess[str]], fail: str, state: str, status: int
) -> None:
    result = gone_wrong[fail]
    assert result.returncode == status, result.stdout + result.stderr
    folder = StudyFolder(studies / "studies" / f"all-{fail}")
    assert [record.state for record in folder.records()] == [state, state]
    assert all(not record.objectives and record.reason for record in folder.records())
    assert {trial.state for trial in optuna_trials(folder)} == {TrialState.FAIL}
    runs = mlflow_runs(folder, "trial")
    assert len(runs) == 2 and {run.info.status for run in runs} == {"FAILED"}
    assert not any(key.startswith("objective/") for run in runs for key in run.data.metrics)
