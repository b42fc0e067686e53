"""What a study writes down of itself and of its trials."""

from typing import Any, Literal, NamedTuple

from pydantic import Field

from veil.config import Settings
from veil.protocol.score import Estimate, TrialScore

TrialState = Literal["valid", "invalid", "diverged", "failed", "stopped"]
StudyKind = Literal["anonymizers", "attackers", "detectors"]
"""What a study compares. Trials of the first kind are points of a frontier, trials of the others never are."""


class Manifest(Settings):
    """What must not change within a study.

    Attributes:
        space: registered search space.
        base_hash: settings that the trials share; sampled values mean something only beside them.
        suite_hash: attack suite with the models that score; where trials have a strength of their own, the suite that
            it is laid over.
        data_hash: contents of the prepared faces; None for studies without faces.
        contract_hash: crop contract; None for studies without faces.
        objectives: names in order.
    """

    space: str
    base_hash: str
    suite_hash: str
    data_hash: str | None
    contract_hash: str | None
    objectives: tuple[str, ...]


class EarlyScore(Settings):
    """What a trial was worth at one rung of early stopping, and what followed from it.

    Attributes:
        images: seen by its training; the rung.
        objectives: estimates by objective name, from the attackers of early stopping; empty where a reason is given.
        reason: why the trial could not be judged there; it goes on, and no other is compared with it.
        seconds: wall time of judging.
        rank, of: place among the trials that had reached the rung until then, 1 the best; None until it is known.
        verdict: "goes on", "stopped", or "control" for a trial that runs to its end although it would be stopped; None
            until it is known.
    """

    images: int
    objectives: dict[str, Estimate] = {}
    reason: str | None = None
    seconds: float = 0.0
    rank: int | None = None
    of: int | None = None
    verdict: Literal["goes on", "stopped", "control"] | None = None


class Attempt(NamedTuple):
    """A process that works on a trial.

    Attributes:
        started: seconds since 1970.
        process: its number on its machine.
        host: its machine; None where an older Veil did not write it down.
    """

    started: float
    process: int
    host: str | None = None


class TrialRecord(Settings):
    """One finished trial, written once by the process that ran it.

    Attributes:
        number: number of the trial in the study.
        state: "valid" trials have objectives; every other state has a reason instead. Nothing is wrong with a "stopped"
            trial: it was ended early.
        trainable, family, label: which method this is.
        params: the trainable's resolved settings.
        sampled: values by the names that the search space asked for them under.
        seed: seed of the trial.
        objectives: estimates by objective name; empty unless valid.
        synthetic: whether the values come from a problem without faces.
        strength: settings of the one attacker that this trial was judged by at a strength of its own, by its name;
            empty for trials judged by the study's suite.
        detector: detector that found and aligned the faces of this trial; None for trials on the study's own crops.
        training_faces: how many faces the anonymizer was trained on, and how many were left out, by kind.
        trainings: images seen by each training that the anonymizer rests on; see `TrialOutcome`.
        notes: sentences that a reader of the score must know.
        score: the whole score card, where the protocol judged the trial.
        reason: why the trial is not valid.
        early_scores: at the rungs of early stopping that it reached, first to last.
        seconds: wall time by part.
        peak_memory_bytes: largest resident size of the trial's process so far.
    """

    number: int
    state: TrialState
    trainable: str
    family: str
    label: str
    params: dict[str, Any] = {}
    sampled: dict[str, Any] = {}
    seed: int = 0
    objectives: dict[str, Estimate] = {}
    synthetic: bool = False
    strength: dict[str, dict[str, Any]] = {}
    detector: str | None = None
    training_faces: dict[str, int] = {}
    trainings: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    score: TrialScore | None = None
    reason: str | None = None
    early_scores: tuple[EarlyScore, ...] = ()
    seconds: dict[str, float] = {}
    peak_memory_bytes: int = Field(0, ge=0)

    @property
    def compares(self) -> StudyKind:
        """What the study of this trial compares."""
        if self.detector is not None:
            return "detectors"
        return "attackers" if self.strength else "anonymizers"
