"""Servers of `veil ui`: ports, start, end; a small server stands in for MLflow's."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from study_helpers import call_veil

from veil.errors import ConfigError, TrackingError
from veil.tracking.server import HOST, _await_pages, _listens, _running, free_port, trials_address

STAND_IN = """
import http.server, pathlib, subprocess, sys
child = subprocess.Popen(["sh", "-c", "trap '' TERM; exec sleep 60"])
pathlib.Path(__file__).with_name("child").write_text(str(child.pid))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_port_that_was_asked_for_is_taken_or_refused_and_others_are_found(busy: int) -> None:
    with pytest.raises(ConfigError, match=rf"port {busy}.*--dashboard-port"):
        free_port(busy, 8080, "--dashboard-port")
    found = free_port(None, busy, "--port")
    assert busy < found < busy + 50
    assert free_port(found, 5000, "--port") == found


def test_a_server_and_what_it_started_end_with_the_block(tmp_path: Path) -> None:
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    port = free_port(None, 8300, "--port")
    with _running("stand-in", ["stand_in"], port, tmp_path, {"PYTHONPATH": str(tmp_path)}) as server:
        _await_pages([server])
        assert _listens(port)
        child = int((tmp_path / "child").read_text())
        os.kill(child, 0)
    assert server.process.returncode == -signal.SIGTERM and not _listens(port)
    deadline = time.monotonic() + 10
    while lives(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not lives(child), "a worker of the server lives on"


def lives(number: int) -> bool:
    """Whether a process runs: one that has ended may stay listed until its new parent notices."""
    try:
        return Path(f"/proc/{number}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "stand_in.py").write_text("raise SystemExit('no such database')")
    with (
        _running("stand-in", ["stand_in"], 8399, tmp_path, {"PYTHONPATH": str(tmp_path)}) as server,
        pytest.raises(TrackingError, match=r"(?s)stand-in ended by itself with status 1.*no such database"),
    ):
        _await_pages([server])


def test_addresses_open_the_saved_view() -> None:
    address = trials_address(5000, "7")
    assert address.startswith("http://127.0.0.1:5000/#/experiments/7/runs?") and "viewStateShareKey=trials" in address


def test_wrong_folder_study_or_port_is_one_clear_error(tmp_path: Path, busy: int) -> None:
    root = ("--root", str(tmp_path))
    assert "no tracking database" in call_veil("ui", *root).stderr
    (tmp_path / "mlflow.db").touch()
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "optuna.log").touch()
    assert "did you mean 'toy'" in call_veil("ui", "tou", *root).stderr
    refused = call_veil("ui", *root, "--port", str(busy))
    assert refused.returncode == 2 and f"port {busy}" in refused.stderr
