"""Faults that tests cause: processes that die, disks that are full, servers that are away."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from study_helpers import mlflow_runs, optuna_trials

from veil.overview import study_overview
from veil.study import StudyFolder


def die_once(marker: Path, after_images: int, metrics: Mapping[str, float], images_seen: int) -> None:
    """A report of training losses during which the worker's process is killed, the first time."""
    if images_seen >= after_images and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for something that happens in another process."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(0.1)


def assert_consistent(folder: StudyFolder, trials: int, uri: str | None = None) -> None:
    """Every trial ended once, and Optuna, MLflow, the records and the frontier know the same ones."""
    numbers = list(range(trials))
    records = folder.records()
    assert [record.number for record in records] == numbers
    assert [trial.number for trial in optuna_trials(folder)] == numbers
    states = {"valid": "COMPLETE", "stopped": "PRUNED"}
    assert [trial.state.name for trial in optuna_trials(folder)] == [
        states.get(record.state, "FAIL") for record in records
    ]
    runs = mlflow_runs(folder, "trial", uri)
    assert sorted(int(run.data.tags["veil.trial"]) for run in runs) == numbers
    ended = {"valid": "FINISHED", "stopped": "KILLED"}
    for run in runs:
        assert run.info.status == ended.get(records[int(run.data.tags["veil.trial"])].state, "FAILED")
    assert sorted(point.trial for point in study_overview(folder.config(), folder).points) == numbers


def missing_for_small_disks() -> str | None:
    """Why this machine cannot give a process a small disk of its own; None if it can."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "unshare and nsenter not found (package util-linux)"
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True, check=False
    )
    return None if tried.returncode == 0 else f"no mounts for this user: {tried.stderr.strip()}"


class SmallDisk:
    """A disk that only some processes see.

    Attributes:
        path: where they see it.
        outside: where everybody else does.
    """

    def __init__(self, path: Path, holder: int) -> None:
        self.path = path
        self.outside = Path(f"/proc/{holder}/root{path}")
        self._holder = holder

    def command(self, command: list[str]) -> list[str]:
        """The command line for a process that sees the disk."""
        return ["nsenter", f"--target={self._holder}", "--mount", f"--wd={Path.cwd()}", *command]

    def fill(self) -> Path:
        """Take all that is free; returns the file to remove."""
        filler = self.outside / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                return filler


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A disk at an empty folder, gone at the end."""
    mount = f"mount -t tmpfs -o size={megabytes}m tmpfs {path} && echo there && exec sleep infinity"
    with subprocess.Popen(["unshare", "--mount", "bash", "-c", mount], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "there\n"
            yield SmallDisk(path, holder.pid)
        finally:
            holder.kill()


@contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[None]:
    """An MLflow server whose runs outlive it."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--artifacts-destination", str(folder)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, start_new_session=True, **quiet) as server:  # type: ignore[call-overload]
        try:
            wait_until(lambda: listens(port), 90, "the start of the MLflow server")
            yield
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def listens(port: int) -> bool:
    """Whether a server of this machine takes connections."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
