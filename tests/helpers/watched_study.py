"""A study folder whose files are written by hand, as if a driver and trials had done so when a test says."""

import json
import os
import socket
from pathlib import Path
from typing import Any

from veil.config import StudyConfig
from veil.driver_state import DriverState, write_driver_state
from veil.protocol.score import Estimate
from veil.records import Manifest, TrialRecord
from veil.study import StudyFolder

START = 1_700_000_000.0
"""Unix time at which drivers start, unless told otherwise."""


class WatchedStudy:
    """A study of the analytic problem in which nothing runs."""

    def __init__(self, root: Path, trials: int, **search: Any) -> None:
        values = {"study": "toy", "root": str(root), "search": {"space": "analytic", "trials": trials, **search}}
        self.folder = StudyFolder(StudyConfig.parse(values, "test").folder)
        identity = {"space": "analytic", "base_hash": "b", "suite_hash": "s", "objectives": ("leak", "utility")}
        self.folder.create(StudyConfig.parse(values, "test"), Manifest(data_hash=None, contract_hash=None, **identity))

    def finish(self, number: int, at: float, state: str = "valid", leak: float = 0.5, **values: Any) -> None:
        """A trial ends; a valid one with its leak, and one that is not with a reason among the values."""
        exact = {"leak": leak, "utility": 0.5} if state == "valid" else {}
        record = TrialRecord(
            number=number,
            state=state,
            trainable="analytic",
            family="analytic",
            label=f"point {number}",
            synthetic=True,
            objectives={name: Estimate(value=value, low=value, high=value) for name, value in exact.items()},
            **values,
        )
        self.folder.write_record(record)
        os.utime(self.folder.record_path(number), (at, at))

    def attempt(self, number: int, at: float, host: str = "node-1") -> None:
        """A process starts to work on a trial."""
        self.folder.trial(number).mkdir(parents=True, exist_ok=True)
        with (self.folder.trial(number) / "attempts.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"started": at, "host": host, "process": 1}) + "\n")

    def drive(self, updated: float, **values: Any) -> None:
        """A driver publishes itself: this process, unless told otherwise."""
        described = {"host": socket.gethostname(), "process": os.getpid(), "started": START, **values}
        write_driver_state(self.folder, DriverState(updated=updated, **described))
