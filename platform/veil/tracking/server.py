"""The pages of MLflow and optuna-dashboard for a folder of studies, on the loopback address only."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from mlflow import MlflowClient
from rich.console import Console

from veil.errors import ConfigError, TrackingError, VeilError, nearest
from veil.study import StudyFolder
from veil.tracking.tracker import local_uri
from veil.tracking.views import VIEW, saved_view

HOST = "127.0.0.1"
PORT, DASHBOARD_PORT = 5000, 8080
"""Where `veil ui` listens if nothing else does and it is not told otherwise."""

PORTS_TRIED = 50
START_SECONDS = 300
STOP_SECONDS = 10

# MLflow would start seven more processes for evaluations of language models, which no study has.
MLFLOW_ENVIRONMENT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


class Server(NamedTuple):
    """A server that runs.

    Attributes:
        name: for people.
        port: on the loopback address.
        process: leader of a process group of its own.
        log: what it prints.
    """

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path


def check_port_free(port: int, option: str = "--port") -> None:
    """Refuse a port that something listens on.

    Raises:
        ConfigError: the port is in use or may not be opened.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigError(f"cannot listen on port {port}: {error.strerror}; choose another with {option}") from None


def free_port(wanted: int | None, first: int, option: str) -> int:
    """The port that was asked for, or the first one from `first` on that nothing listens on.

    Raises:
        ConfigError: the port that was asked for is in use, or so many others are.
    """
    if wanted is not None:
        check_port_free(wanted, option)
        return wanted
    for port in range(first, first + PORTS_TRIED):
        try:
            check_port_free(port)
        except ConfigError:
            continue
        return port
    raise ConfigError(f"all ports from {first} to {first + PORTS_TRIED - 1} are in use; choose another with {option}")


def serve(
    root: Path,
    study: str | None,
    port: int | None,
    dashboard_port: int | None,
    console: Console,
    open_page: bool = False,
) -> None:
    """Run both servers until Ctrl-C, which stops both.

    Args:
        root: folder of the studies.
        study: whose trials optuna-dashboard shows; None takes the one that changed last.
        port: of MLflow; None takes the first free one from `PORT` on.
        dashboard_port: of optuna-dashboard; None takes the first free one from `DASHBOARD_PORT` on.
        console: where the addresses go.
        open_page: whether to open the study in the browser.

    Raises:
        ConfigError: the folder holds no tracking database or no such study, or a port is in use.
        TrackingError: a server does not start, or ends by itself.
    """
    if not (root / "mlflow.db").exists():
        raise ConfigError(
            f"no tracking database in {root}; run a study first, or name its folder with --root; studies that log to a "
            "server (tracking.uri) have their pages there"
        )
    studies = sorted(root.glob("*/optuna.log"), key=lambda path: path.stat().st_mtime, reverse=True)
    names = [path.parent.name for path in studies]
    if study is not None and study not in names:
        raise ConfigError(f"no study {study!r} in {root}; {nearest(study, names)}")
    shown = study or next(iter(names), None)
    ports = free_port(port, PORT, "--port"), free_port(dashboard_port, DASHBOARD_PORT, "--dashboard-port")
    experiments = _save_views(root, names, console)
    with tempfile.TemporaryDirectory(prefix="veil-ui-") as logs, ExitStack() as stack, _interrupted_by_termination():
        command = ["mlflow", "server", "--backend-store-uri", local_uri(root), "--host", HOST, "--workers", "1"]
        servers = [stack.enter_context(_running("MLflow", command, ports[0], Path(logs), MLFLOW_ENVIRONMENT))]
        if shown is not None:
            command = ["veil.tracking.dashboard", str(StudyFolder(root / shown).optuna_path.resolve()), "--host", HOST]
            servers.append(stack.enter_context(_running("optuna-dashboard", command, ports[1], Path(logs), {})))
        try:
            with console.status("starting …"):
                _await_pages(servers)
            links = {name: trials_address(ports[0], experiment) for name, experiment in experiments.items()}
            _print_addresses(servers, shown, links, console)
            if open_page:
                webbrowser.open(links.get(shown or "", f"http://{HOST}:{ports[0]}"))
            while True:
                time.sleep(0.2)
                _check_running(servers)
        except KeyboardInterrupt:
            console.print("stopped")


def trials_address(port: int, experiment: str) -> str:
    """Address of the charts of an experiment's trials in MLflow, in the view that Veil saves."""
    query = f"viewStateShareKey={VIEW}&workflowType=machine_learning&compareRunsMode=CHART"
    return f"http://{HOST}:{port}/#/experiments/{experiment}/runs?{query}"


def _save_views(root: Path, names: Sequence[str], console: Console) -> dict[str, str]:
    """Bring the saved view of each study up to date with its trials; returns the experiments by study."""
    client = MlflowClient(local_uri(root))
    experiments = {}
    for name in names:
        experiment = client.get_experiment_by_name(name)
        if experiment is None or experiment.lifecycle_stage != "active":
            continue
        experiments[name] = str(experiment.experiment_id)
        folder = StudyFolder(root / name)
        try:
            tag, value = saved_view(folder.records(), folder.config().search.objectives)
        except VeilError as error:
            console.print(f"[yellow]no view of study {name}[/yellow]: {error}")
        else:
            client.set_experiment_tag(experiment.experiment_id, tag, value)
    return experiments


@contextmanager
def _interrupted_by_termination() -> Iterator[None]:
    """Treat a request to terminate like Ctrl-C, so that no server outlives this process."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _running(
    name: str, command: Sequence[str], port: int, logs: Path, environment: Mapping[str, str]
) -> Iterator[Server]:
    """A module run as a server in a process group of its own, which is stopped as a whole."""
    log = logs / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(environment),
            start_new_session=True,
        )
    try:
        yield Server(name, port, process, log)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        # What does not end when it is asked to, or was left behind by a server that ended by itself.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await_pages(servers: Sequence[Server]) -> None:
    deadline = time.monotonic() + START_SECONDS
    for server in servers:
        while not _listens(server.port):
            _check_running(servers)
            if time.monotonic() > deadline:
                raise TrackingError(f"{server.name} did not answer within {START_SECONDS} s{_last_lines(server)}")
            time.sleep(0.2)


def _listens(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def _check_running(servers: Sequence[Server]) -> None:
    for server in servers:
        if (status := server.process.poll()) is not None:
            raise TrackingError(f"{server.name} ended by itself with status {status}{_last_lines(server)}")


def _last_lines(server: Server) -> str:
    lines = server.log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
    return "; it printed last:\n" + "\n".join(lines) if lines else ""


def _print_addresses(servers: Sequence[Server], shown: str | None, links: Mapping[str, str], console: Console) -> None:
    for server in servers:
        about = "" if server.name == "MLflow" else f"  (study {shown}, read-only)"
        console.print(f"{server.name:18}http://{HOST}:{server.port}{about}", highlight=False)
    for name, link in links.items():
        console.print(f"  trials of {name}: [link={link}]{link}[/link]", highlight=False, soft_wrap=True)
    console.print("Ctrl-C stops both", style="dim")
