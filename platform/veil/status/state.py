"""How far a study is, as data."""

from typing import Literal

from veil.config import Settings
from veil.driver_state import DriverState
from veil.protocol.score import Estimate
from veil.records import EarlyScore, StudyKind, TrialState
from veil.status.pace import Pace

StudyState = Literal["running", "silent", "killed", "interrupted", "failed", "finished"]
"""A "silent" driver has not written for a while, and its process cannot be looked at or is still there; that of a
"killed" one is gone; a "failed" one was ended by an error; an "interrupted" study has trials left and no driver."""

OUTCOMES: tuple[TrialState, ...] = ("valid", "stopped", "diverged", "invalid", "failed")


class UnfinishedTrial(Settings):
    """A trial that a process has worked on and that has no outcome yet.

    Attributes:
        number: of the trial.
        label: which method it is, where the driver has told.
        host: on which the last process worked.
        attempt: how many processes have worked on it.
        started: when the last one began, Unix time.
        images_seen, images: by its training so far, and in all; None where it has not reported, or trains nothing.
        rung: the last of early stopping that it has reached.
    """

    number: int
    label: str | None = None
    host: str | None = None
    attempt: int
    started: float
    images_seen: int | None = None
    images: int | None = None
    rung: EarlyScore | None = None


class Reason(Settings):
    """Why trials are not valid.

    Attributes:
        state: of all of them.
        text: of the newest; the others differ from it in numbers at most.
        trials: their numbers, the newest first.
    """

    state: TrialState
    text: str
    trials: tuple[int, ...]


class Volume(Settings):
    """Hypervolume that the valid trials have reached.

    Attributes:
        hypervolume: with its interval over people, which is the value itself where there are none.
        history: after each finished trial, in order of their numbers.
        improved_by: number of the last trial that added to it; None if none has.
        trials_since: how many have finished after that one.
    """

    hypervolume: Estimate
    history: tuple[float, ...]
    improved_by: int | None
    trials_since: int


class StudyStatus(Settings):
    """A study at one moment.

    Attributes:
        study: its name.
        folder: where it lies.
        looked: the moment, Unix time.
        state: of the study.
        compares: what its trials compare.
        trials: how many it is to have.
        outcomes: number of trials by state, of those that have finished.
        running: trials that a process works on.
        interrupted: trials that an earlier driver has left, which are continued before others start.
        waiting: how many trials have not been started.
        queued: how many of these are sampled and wait for free resources.
        unmet: what a trial needs that no node offers; None where one does, or nothing waits.
        reasons: why trials are not valid, the newest first and those of stopped ones last.
        volume: what the frontier has reached; None where no trial is valid, or the study has no frontier.
        pace: how fast trials finish; None unless two have in the driver's run that lasts.
        changed: when a trial finished last; None before the first.
        driver: as it published itself.
        tracking: MLflow's address; None is the database beside the studies.
    """

    study: str
    folder: str
    looked: float
    state: StudyState
    compares: StudyKind
    trials: int
    outcomes: dict[TrialState, int]
    running: tuple[UnfinishedTrial, ...]
    interrupted: tuple[UnfinishedTrial, ...]
    waiting: int
    queued: int
    unmet: str | None
    reasons: tuple[Reason, ...]
    volume: Volume | None
    pace: Pace | None
    changed: float | None
    driver: DriverState | None
    tracking: str | None

    @property
    def finished(self) -> int:
        """How many trials have an outcome."""
        return sum(self.outcomes.values())
