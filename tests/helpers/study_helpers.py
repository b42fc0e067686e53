"""Studies run as a user runs them: through the command line."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import optuna
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from typer.testing import CliRunner

from veil.cli import ExitStatus, app
from veil.errors import VeilError
from veil.study import StudyFolder
from veil.trial_log import stored_trials


def run_veil(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run `veil ARGS` in a process of its own and return what it printed and its exit status."""
    return subprocess.run(veil_command(*arguments), capture_output=True, text=True, timeout=timeout, check=False)


def call_veil(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The same in this process, which spares the imports; for commands that start no Ray."""
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, VeilError):
        status = ExitStatus.of(result.exception)
        return subprocess.CompletedProcess(arguments, status, result.stdout, str(result.exception))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)


def veil_command(*arguments: str) -> list[str]:
    """The command line of Veil in this environment."""
    return [sys.executable, "-m", "veil.cli", *arguments]


def write_analytic_study(
    folder: Path,
    name: str,
    trials: int,
    search: Mapping[str, object] | None = None,
    tracking: Mapping[str, object] | None = None,
    **base: object,
) -> Path:
    """Study file of the analytic problem, whose trials share settings (`base`); returns its path."""
    values = {
        "study": name,
        "root": str(folder / "studies"),
        "search": {"space": "analytic", "trials": trials, "base": {"analytic": base}, **(search or {})},
        "tracking": dict(tracking or {}),
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def optuna_trials(folder: StudyFolder) -> list[optuna.trial.FrozenTrial]:
    """All trials of a study."""
    return stored_trials(folder)


def mlflow_runs(folder: StudyFolder, kind: str, uri: str | None = None) -> list[Run]:
    """All runs of one level ("sweep", "trial", "attacker") that MLflow holds of a study, beside it or at an address."""
    client = MlflowClient(uri or f"sqlite:///{folder.path.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(folder.name)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], f"tags.`veil.kind` = '{kind}'", max_results=1000))
