"""The MLflow pages of a folder of studies, on the loopback address only."""

import socket
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from veil.errors import ConfigError, TrackingError
from veil.tracking.tracker import local_uri

HOST = "127.0.0.1"
PORT = 5000
"""Where `veil ui` listens unless told otherwise."""


def check_port_free(port: int) -> None:
    """Refuse a port that something listens on.

    Raises:
        ConfigError: the port is in use or may not be opened.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigError(f"cannot listen on port {port}: {error.strerror}; choose another with --port") from None


def serve(root: Path, port: int, console: Console) -> int:
    """Run the MLflow server in the foreground until it is stopped; returns its exit status.

    Raises:
        ConfigError: the folder holds no tracking database, or the port is in use.
        TrackingError: the server ends with an error.
    """
    if not (root / "mlflow.db").exists():
        raise ConfigError(f"no tracking database in {root}; run a study first, or name its folder with --root")
    check_port_free(port)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", local_uri(root)]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    console.print(f"MLflow on http://{HOST}:{port} (Ctrl-C ends it)", highlight=False)
    try:
        status = subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 0
    if status != 0:
        raise TrackingError(f"the MLflow server ended with status {status}; its own message stands above")
    return status
