"""Whatever dies, fills or goes away: finished trials are neither lost nor run twice, and the study can go on."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from faults import assert_consistent, free_port, missing_for_small_disks, mlflow_server, small_disk, wait_until
from optuna.trial import TrialState
from study_helpers import optuna_trials, run_veil, veil_command, write_analytic_study

from veil.study import StudyFolder

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

KILLS = int(os.environ.get("VEIL_TEST_KILLS", "6"))
"""Random kills of one study."""

NO_DISK = missing_for_small_disks()

ROOM = 6e9
"""Bytes that a trial may take before it is ended, beside whatever other tests take meanwhile."""


def memory(name: str) -> float:
    """A line of /proc/meminfo in bytes."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    return next(float(size) * 1024 for key, size, *_ in lines if key == f"{name}:")


@contextmanager
def driver(*arguments: str, prefix: tuple[str, ...] = (), **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A running `veil` in a process group of its own, as in a terminal."""
    with subprocess.Popen(
        [*prefix, *veil_command(*arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def processes_of_trials(folder: StudyFolder) -> list[int]:
    """Processes that work on a trial which has no record."""
    numbers = [int(path.parent.name) for path in folder.path.glob("trials/*/attempts.jsonl")]
    found = [folder.attempts(number)[-1].process for number in numbers if folder.record(number) is None]
    return [process for process in found if Path(f"/proc/{process}").exists()]


def finished(folder: StudyFolder, count: int) -> bool:
    return len(folder.finished()) >= count


def test_random_kills_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """Drivers and trials' processes are killed at random moments, until so many have been and the study is done."""
    trials, draw = 12, random.Random(0)
    config = write_analytic_study(tmp_path, "killed", trials, search={"max_failures": KILLS}, sleep_seconds=3.0)
    folder = StudyFolder(tmp_path / "studies" / "killed")
    kills = {"driver": 0, "trial": 0}
    while sum(kills.values()) < KILLS:
        assert not finished(folder, trials), "the study was over before all kills: it needs longer trials"
        with driver("sweep", "--config", str(config)) as sweep:
            wait_until(lambda: bool(processes_of_trials(folder)), 120, "a trial")
            while sum(kills.values()) < KILLS:
                time.sleep(draw.uniform(0.0, 2.0))
                if sweep.poll() is not None:
                    break
                if draw.random() < 0.4:
                    kills["driver"] += 1
                    sweep.kill()
                    break
                if running := processes_of_trials(folder):
                    kills["trial"] += 1
                    os.kill(draw.choice(running), signal.SIGKILL)
    assert kills["driver"] and kills["trial"], kills
    before = {record.number: (record, len(folder.attempts(record.number))) for record in folder.records()}
    ended = run_veil("resume", "killed", "--root", str(tmp_path / "studies"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert_consistent(folder, trials)
    assert {record.state for record in folder.records()} == {"valid"}
    after = {record.number: (record, len(folder.attempts(record.number))) for record in folder.records()}
    assert before.items() <= after.items(), "a finished trial ran again, or its record changed"


@pytest.mark.long
def test_ctrl_c_stops_cleanly_and_a_second_one_at_once(tmp_path: Path) -> None:
    config = write_analytic_study(tmp_path, "stopped", trials=2, sleep_seconds=12.0)
    folder = StudyFolder(tmp_path / "studies" / "stopped")
    with driver("sweep", "--config", str(config)) as sweep:
        wait_until(lambda: len(processes_of_trials(folder)) == 2, 120, "two trials")
        os.killpg(sweep.pid, signal.SIGINT)
        printed, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == 130, printed
    assert "2 trials are left: veil resume stopped" in printed and "Traceback" not in printed
    assert processes_of_trials(folder) == [] and folder.finished() == []
    assert {trial.state for trial in optuna_trials(folder)} == {TrialState.RUNNING}

    with driver("resume", "stopped", "--root", str(tmp_path / "studies")) as again:
        wait_until(lambda: len(processes_of_trials(folder)) == 2, 120, "two trials")
        os.killpg(again.pid, signal.SIGINT)
        time.sleep(0.3)
        os.killpg(again.pid, signal.SIGINT)
        second = time.monotonic()
        printed, _ = again.communicate(timeout=60)
        assert time.monotonic() - second < 10, printed
    assert again.returncode == 130 and "Traceback" not in printed, printed
    wait_until(lambda: processes_of_trials(folder) == [], 30, "the end of the trials' processes")

    ended = run_veil("resume", "stopped", "--root", str(tmp_path / "studies"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert_consistent(folder, 2)
    assert [len(folder.attempts(number)) for number in range(2)] == [3, 3]


@pytest.mark.long
def test_a_tracking_server_that_is_away_for_a_while_misses_nothing(tmp_path: Path) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    config = write_analytic_study(tmp_path, "away", 6, tracking={"uri": uri}, sleep_seconds=4.0)
    folder = StudyFolder(tmp_path / "studies" / "away")
    with ExitStack() as sweeping:
        with mlflow_server(tmp_path, port):
            sweep = sweeping.enter_context(
                driver("sweep", "--config", str(config), MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
            )
            wait_until(lambda: finished(folder, 1), 120, "a trial")
        wait_until(lambda: finished(folder, 5), 120, "trials that finish while the server is away")
        with mlflow_server(tmp_path, port):
            printed, _ = sweep.communicate(timeout=120)
            assert sweep.returncode == 0, printed
            assert "the sweep goes on" in printed
            assert_consistent(folder, 6, uri)


@pytest.mark.long
@pytest.mark.skipif(NO_DISK is not None, reason=str(NO_DISK))
def test_a_full_disk_stops_the_sweep_and_costs_no_trial(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    config = write_analytic_study(place, "full", trials=6, sleep_seconds=2.0)
    text = config.read_text()
    with small_disk(place, megabytes=100) as disk:
        (disk.outside / "full.yaml").write_text(text)
        folder = StudyFolder(disk.outside / "studies" / "full")
        prefix = tuple(disk.command([]))
        with driver("sweep", "--config", str(config), prefix=prefix) as sweep:
            wait_until(lambda: finished(folder, 2), 120, "two trials")
            filler = disk.fill()
            printed, _ = sweep.communicate(timeout=120)
        assert sweep.returncode == 2, printed
        assert "No space left on device" in " ".join(printed.split()) and "veil resume full" in " ".join(
            printed.split()
        )
        assert "Traceback" not in printed
        assert {record.state for record in folder.records()} == {"valid"}
        filler.unlink()
        with driver("resume", "full", "--root", str(place / "studies"), prefix=prefix) as again:
            printed, _ = again.communicate(timeout=120)
        assert again.returncode == 0, printed
        assert {record.state for record in folder.records()} == {"valid"} and len(folder.records()) == 6


@pytest.mark.long
@pytest.mark.skipif(memory("MemAvailable") < 1.5 * ROOM, reason=f"needs {1.5 * ROOM / 1e9:.0f} GB of free memory")
def test_a_trial_that_takes_all_memory_fails_and_the_others_go_on(tmp_path: Path) -> None:
    fine = {"trainable": "analytic", "settings": {"sleep_seconds": 1.0}}
    greedy = {"trainable": "analytic", "settings": {"fail": "memory"}}
    search = {"anchors": [fine, greedy], "max_failures": 0, "max_concurrent_trials": 1}
    config = write_analytic_study(tmp_path, "greedy", trials=2, search=search)
    threshold = 1 - (memory("MemAvailable") - ROOM) / memory("MemTotal")
    with driver(
        "sweep", "--config", str(config), RAY_memory_usage_threshold=f"{threshold:.3f}",
        RAY_memory_monitor_refresh_ms="50",
    ) as sweep:  # fmt: skip
        printed, _ = sweep.communicate(timeout=300)
    assert sweep.returncode == 3, printed
    folder = StudyFolder(tmp_path / "studies" / "greedy")
    valid, failed = folder.records()
    assert valid.state == "valid" and failed.state == "failed"
    assert failed.reason is not None and "out of memory" in failed.reason
    assert "search.max_concurrent_trials" in failed.reason
    assert_consistent(folder, 2)
