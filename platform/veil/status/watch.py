"""One look after another at a study, each of which reads only what has changed."""

import os
import re
import socket
from pathlib import Path

from veil.config import StudyConfig
from veil.driver_state import DriverState, read_driver_state
from veil.frontier.hypervolume import hypervolume_history
from veil.objectives import get_objective
from veil.points import compared, frontier_point
from veil.protocol.score import Estimate
from veil.records import TrialRecord
from veil.status.kept_folder import KeptFolder
from veil.status.pace import Pace, estimate_pace
from veil.status.state import OUTCOMES, Reason, StudyState, StudyStatus, UnfinishedTrial, Volume
from veil.volume import trial_hypervolume

SILENT_SECONDS = 15.0
"""A driver writes every five seconds; one that has missed a few is looked after."""


class StudyWatch:
    """Looks at a study; nothing of it is locked or changed.

    Args:
        path: the study folder.
        intervals: whether the hypervolume gets one, for which every trial's spread over people is read.
    """

    def __init__(self, path: Path, intervals: bool = True) -> None:
        self._folder = KeptFolder(path)
        self._intervals = intervals
        self._volume: Volume | None = None
        self._reasons: tuple[Reason, ...] = ()

    def look(self, now: float) -> StudyStatus:
        """The study as its folder tells it.

        Args:
            now: Unix time.

        Raises:
            ConfigError: there is no such study.
            VeilError: a file of it is damaged.
        """
        config, driver = self._folder.config(), read_driver_state(self._folder)
        changed = self._folder.refresh()
        records = self._folder.records()
        compares = compared(records)
        if changed:
            self._volume = self._hypervolume(config, records) if compares == "anonymizers" else None
            self._reasons = group_reasons(records, self._folder.finished_at)
        state = study_state(driver, len(records), config.search.trials, now)
        driven = driver if driver is not None and state in ("running", "silent") else None
        running, interrupted = self._unfinished(driven)
        begun = {trial.number for trial in running} | {record.number for record in records}
        return StudyStatus(
            study=config.study,
            folder=str(self._folder.path),
            looked=now,
            state=state,
            compares=compares,
            trials=config.search.trials,
            outcomes={outcome: sum(record.state == outcome for record in records) for outcome in OUTCOMES},
            running=running,
            interrupted=interrupted,
            waiting=max(config.search.trials - len(records) - len(running) - len(interrupted), 0),
            queued=sum(trial.number not in begun for trial in driven.queued) if driven is not None else 0,
            unmet=_unmet(config, driven) if driven is not None else None,
            reasons=self._reasons,
            volume=self._volume,
            pace=self._pace(config, driven, now, len(running)) if driven is not None else None,
            changed=max(self._folder.finished_at.values(), default=None),
            driver=driver,
            tracking=config.tracking.uri,
        )

    def _hypervolume(self, config: StudyConfig, records: list[TrialRecord]) -> Volume | None:
        objectives = [get_objective(name) for name in config.search.objectives]
        valid = [record for record in records if record.state == "valid"]
        if not valid:
            return None
        history = hypervolume_history([frontier_point(record) for record in records], objectives)
        value = low = high = history[-1]
        if self._intervals:
            value, low, high = trial_hypervolume(valid, self._folder, objectives)
        reached = history.index(history[-1])
        return Volume(
            hypervolume=Estimate(value=value, low=low, high=high),
            history=tuple(history),
            improved_by=records[reached].number if history[-1] > 0 else None,
            trials_since=len(records) - 1 - reached,
        )

    def _unfinished(
        self, driver: DriverState | None
    ) -> tuple[tuple[UnfinishedTrial, ...], tuple[UnfinishedTrial, ...]]:
        """Trials that run, and those that a driver has left behind."""
        found = [self._unfinished_trial(number, driver) for number in self._folder.unfinished]
        trials = [trial for trial in found if trial is not None]
        if driver is None:
            return (), tuple(trials)
        known = {trial.number for trial in driver.running}
        running = tuple(trial for trial in trials if trial.number in known or trial.started >= driver.started)
        return running, tuple(trial for trial in trials if trial not in running)

    def _unfinished_trial(self, number: int, driver: DriverState | None) -> UnfinishedTrial | None:
        attempts, rungs = self._folder.attempts(number), self._folder.early_scores(number)
        if not attempts:
            return None  # Its process is about to start on it.
        driven = (*driver.running, *driver.queued) if driver is not None else ()
        told = next((trial for trial in driven if trial.number == number), None)
        seen = (
            self._folder.images_seen(number),
            told.images_seen if told is not None else None,
            rungs[-1].images if rungs else None,
        )
        return UnfinishedTrial(
            number=number,
            label=told.label if told is not None else None,
            host=attempts[-1].host,
            attempt=len(attempts),
            started=attempts[-1].started,
            images_seen=max((images for images in seen if images is not None), default=None),
            images=told.images if told is not None else None,
            rung=rungs[-1] if rungs else None,
        )

    def _pace(self, config: StudyConfig, driver: DriverState, now: float, running: int) -> Pace | None:
        finished = sorted(self._folder.finished_at.values())
        remaining = config.search.trials - len(finished)
        return estimate_pace(finished, driver.started, now, remaining, running, config.search.max_concurrent_trials)


def study_state(driver: DriverState | None, finished: int, trials: int, now: float) -> StudyState:
    """What becomes of a study, by its driver's last words and by whether its process lives.

    Args:
        driver: as it published itself; None where none has.
        finished: number of trials with an outcome.
        trials: number that the study is to have.
        now: Unix time.
    """
    if driver is not None and driver.outcome == "running":
        if now - driver.updated <= SILENT_SECONDS:
            return "running"
        # Of a process on another machine nothing is known but its silence.
        here = driver.host == socket.gethostname()
        return "killed" if here and not _lives(driver.process) else "silent"
    if driver is not None and driver.outcome == "failed":
        return "failed"
    return "finished" if finished >= trials else "interrupted"


def group_reasons(records: list[TrialRecord], finished_at: dict[int, float]) -> tuple[Reason, ...]:
    """Why trials are not valid; reasons that differ in numbers alone are one.

    What is wrong comes before what was stopped early, and the newest first.
    """
    groups: dict[tuple[str, str], list[TrialRecord]] = {}
    for record in sorted(records, key=lambda record: (record.state == "stopped", -finished_at[record.number])):
        if record.reason is not None:
            groups.setdefault((record.state, _without_numbers(record)), []).append(record)
    return tuple(
        Reason(state=group[0].state, text=group[0].reason or "", trials=tuple(record.number for record in group))
        for group in groups.values()
    )


def _without_numbers(record: TrialRecord) -> str:
    # Of a trial that was stopped early, the rung matters and the rank does not.
    if record.state == "stopped" and record.early_scores:
        return str(record.early_scores[-1].images)
    return re.sub(r"\d+(\.\d+)?(e[-+]?\d+)?", "0", record.reason or "")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _unmet(config: StudyConfig, driver: DriverState) -> str | None:
    """What a trial needs that no node of a driver offers."""
    cores, gpus = config.search.cpus_per_trial, config.search.gpus_per_trial
    nodes = driver.nodes
    if not (driver.queued and nodes) or any(node.cpus >= cores and node.gpus >= gpus for node in nodes):
        return None
    return (
        f"a trial needs {cores} cores and {gpus:g} GPUs (search.cpus_per_trial, search.gpus_per_trial); no node "
        "that is up offers both, and trials wait for one that does"
    )
