"""A sweep as `veil status` sees it from beside: while it runs, when its driver was killed, and when it goes on."""

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from study_helpers import run_veil, veil_command, write_analytic_study

from veil.errors import ConfigError
from veil.status import StudyStatus, StudyWatch
from veil.status.watch import SILENT_SECONDS

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts `veil ARGS` and does not wait; what still runs when the test ends is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> subprocess.Popen[bytes]:
        command = veil_command(*arguments)
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def wait_until(
    watch: StudyWatch, reached: Callable[[StudyStatus], bool], driver: subprocess.Popen[bytes]
) -> StudyStatus:
    deadline = time.monotonic() + 120
    while True:
        try:
            status = watch.look(time.time())
        except ConfigError:  # The driver has not made the folder yet.
            status = None
        if status is not None and reached(status):
            return status
        assert driver.poll() is None and time.monotonic() < deadline, "the sweep ended or hung"
        time.sleep(0.2)


def driven_by(status: StudyStatus, driver: subprocess.Popen[bytes]) -> bool:
    return status.driver is not None and status.driver.process == driver.pid


def screen_until_interrupted(*arguments: str) -> tuple[str, int]:
    """What a command draws on a terminal until Ctrl-C, pressed when it has drawn twice, and its exit status."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(veil_command()[0], veil_command(*arguments))
    drawn, pressed = b"", False
    while True:
        try:
            drawn += os.read(terminal, 65536)
        except OSError:  # Linux says so when the other end has closed.
            break
        if drawn.count(b"MLflow") >= 2 and not pressed:
            os.write(terminal, b"\x03")
            pressed = True
    return drawn.decode(), os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_status_follows_a_sweep_through_a_kill(tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]) -> None:
    config = write_analytic_study(tmp_path, "seen", trials=8, sleep_seconds=4.0)
    where = ("seen", "--root", str(tmp_path / "studies"))
    watch = StudyWatch(tmp_path / "studies" / "seen")

    driver = start("sweep", "--config", str(config))
    status = wait_until(watch, lambda now: any(trial.label for trial in now.running) and now.finished >= 1, driver)
    assert (status.state, status.trials) == ("running", 8)
    assert status.finished + len(status.running) + len(status.interrupted) + status.waiting == 8
    assert status.driver is not None and driven_by(status, driver)
    (node,) = status.driver.nodes
    assert node.host == status.running[0].host == os.uname().nodename
    assert 0 < node.cpus_used <= node.cpus and 0 < node.memory_used_bytes < node.memory_bytes
    assert status.driver.ray_address and status.driver.dashboard is None
    known = next(trial for trial in status.running if trial.label)
    assert known.label.startswith("analytic x=") and (known.attempt, known.images) == (1, 81)

    screen, left_with = screen_until_interrupted("status", *where)
    assert left_with == 0 and "running" in screen and "of 8 trials" in screen

    wait_until(watch, lambda now: now.pace is not None and bool(now.running), driver)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    killed = watch.look(time.time() + SILENT_SECONDS)
    assert (killed.state, killed.running, killed.pace) == ("killed", (), None)
    assert killed.finished + len(killed.interrupted) + killed.waiting == 8 and killed.finished < 8

    resumed = start("resume", *where)
    again = wait_until(watch, lambda now: driven_by(now, resumed) and bool(now.running), resumed)
    assert again.state == "running" and again.driver is not None
    assert all(trial.started >= again.driver.started for trial in again.running)
    assert resumed.wait(timeout=120) == 0
    printed = run_veil("status", *where)
    assert printed.returncode == 0 and "8 of 8 trials" in printed.stdout and "finished" in printed.stdout
    data = json.loads(run_veil("status", *where, "--json", "-").stdout)
    assert data["outcomes"]["valid"] == 8 and data["driver"]["outcome"] == "finished" and data["running"] == []
