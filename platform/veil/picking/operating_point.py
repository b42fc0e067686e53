"""From a frontier to one operating point: rescored on sealed people with the report recognizer, then registered."""

import time
from typing import NamedTuple

from rich.console import Console

from veil.assets import cache_folder
from veil.config import StudyConfig
from veil.errors import ConfigError, ProtocolError
from veil.faces.study_faces import StudyFaces
from veil.frontier.points import FrontierPoint
from veil.frontier.selection import select
from veil.points import frontier_point
from veil.preparing.study import prepare_study
from veil.protocol.judging import open_judge
from veil.protocol.score import TrialScore
from veil.registry import trainables
from veil.sealed import SealedLook, log_look
from veil.study import StudyFolder, TrialRecord
from veil.tracking import Tracker
from veil.tracking.models import ModelName, register_operating_point


class Budget(NamedTuple):
    """What a chosen point must satisfy.

    Attributes:
        max_leak: largest leak, in [0, 1].
        min_utility: smallest utility, in [0, 1].
        knee: take the knee of the frontier.
        trial: take this trial.
    """

    max_leak: float | None
    min_utility: float | None
    knee: bool
    trial: int | None

    def broken_by(self, score: TrialScore) -> str | None:
        """How a sealed score breaks the budget, None if it keeps it."""
        leak, utility = score.objectives["leak"], score.objectives["utility"]
        if self.max_leak is not None and leak.value > self.max_leak:
            return f"leak {leak.value:.2f} [{leak.low:.2f}, {leak.high:.2f}] is above {self.max_leak}"
        if self.min_utility is not None and utility.value < self.min_utility:
            return f"utility {utility.value:.2f} [{utility.low:.2f}, {utility.high:.2f}] is below {self.min_utility}"
        return None


def pick_point(folder: StudyFolder, budget: Budget, register: str | None, console: Console) -> TrialScore:
    """Choose, rescore on sealed people, and register.

    Every look at the sealed people is written to `sealed.jsonl` and to MLflow: the more often they are consulted, the
    less a good score on them means.

    Args:
        folder: the study.
        budget: what the point must satisfy.
        register: "NAME@ALIAS" in the model registry, or None to rescore only.
        console: where the verdict goes.

    Raises:
        ConfigError: no point satisfies the budget, a name is malformed, or what was chosen applies to no other images.
        ProtocolError: the sealed score is invalid or breaks the budget; nothing is registered.
    """
    name = ModelName.parse(register) if register is not None else None
    config = folder.config()
    candidates = _candidates(folder, budget)
    chosen = candidates[0]
    record = folder.record(chosen.trial)
    assert record is not None
    if name is not None and not getattr(trainables.get(record.trainable), "registrable", True):
        raise ConfigError(
            f"trial {chosen.trial} ({chosen.label}) cannot be registered: it applies to no images but those "
            "of this study; leave out --register to rescore it, or choose another trial with --trial"
        )
    tracker = Tracker(config, folder.manifest())
    console.print(
        f"trial {chosen.trial} ({chosen.label}): leak {chosen.interval('leak')}, utility {chosen.interval('utility')} "
        "on the search people; rescoring on the sealed people …",
        highlight=False,
    )
    score = _sealed_score(config, folder, record)
    looks = _log_look(folder, tracker, record, score)
    if not score.valid:
        raise ProtocolError(
            f"the sealed score of trial {chosen.trial} is invalid: {score.reason}; nothing is registered"
        )
    _print_score(console, config, score, looks)
    broken = budget.broken_by(score)
    if broken is not None:
        raise ProtocolError(
            f"on the sealed people, trial {chosen.trial} breaks the budget: {broken}; nothing is registered. "
            + _next_candidate(candidates)
        )
    if name is not None:
        version = register_operating_point(
            tracker.uri, tracker.trial_run_id(record.number), name, folder.trial(record.number), record, score, config
        )
        console.print(f"registered [bold]{name}[/bold], version {version}")
    return score


def _candidates(folder: StudyFolder, budget: Budget) -> list[FrontierPoint]:
    records = [record for record in folder.records() if budget.trial in (None, record.number)]
    if budget.trial is not None and not records:
        raise ConfigError(f"trial {budget.trial} has not finished in study {folder.name!r}; see `veil frontier`")
    points = [frontier_point(record) for record in records if record.compares == "anonymizers"]
    if records and not points:
        what = "every trial" if budget.trial is None else f"trial {budget.trial}"
        judged = {
            "attackers": "was judged by one attacker at a strength of its own, not by a whole suite",
            "detectors": "was judged on crops of its own, not on those of the study",
        }[records[0].compares]
        raise ConfigError(
            f"nothing to pick: {what} of study {folder.name!r} {judged}; pick from a study of anonymizers"
        )
    if budget.trial is None:
        return select(points, max_leak=budget.max_leak, min_utility=budget.min_utility, knee=budget.knee)
    if not points[0].valid or points[0].synthetic:
        why = points[0].reason if not points[0].valid else "it is a synthetic problem, not an anonymizer"
        raise ConfigError(f"trial {budget.trial} cannot be picked: {why}")
    return points


def _next_candidate(candidates: list[FrontierPoint]) -> str:
    if len(candidates) < 2:
        return "No other trial meets the budget on the search people: relax it or run more trials."
    following = candidates[1]
    return f"Next candidate: trial {following.trial} ({following.label}), with --trial {following.trial}."


def _sealed_score(config: StudyConfig, folder: StudyFolder, record: TrialRecord) -> TrialScore:
    faces = StudyFaces.load(config.data, prepare_study(config.data, cache_folder()))
    expected = folder.manifest().data_hash
    if faces.data_hash != expected:
        raise ProtocolError(
            f"the prepared faces have changed since the sweep (data hash {faces.data_hash}, expected {expected}); "
            "restore the dataset, or sweep anew under another --set study=NAME"
        )
    trainable = trainables.get(record.trainable)()
    settings = trainable.Config.parse(record.params, where=f"trial {record.number}")
    judge = open_judge(config, faces.people, "sealed", folder.cache, extra=faces.extra)
    return judge.score(trainable.load(settings, folder.trial(record.number))).score


def _log_look(folder: StudyFolder, tracker: Tracker, record: TrialRecord, score: TrialScore) -> int:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    look = log_look(folder, SealedLook(time=now, trial=record.number, label=record.label, score=score))
    metrics = {f"sealed/{name}": estimate.value for name, estimate in score.objectives.items()}
    tracker.log_event(f"sealed score of #{record.number:03d}", metrics, {"veil.sealed_trial": str(record.number)})
    return look


def _print_score(console: Console, config: StudyConfig, score: TrialScore, looks: int) -> None:
    for objective in ("leak", "utility"):
        value = score.objectives[objective]
        console.print(f"  sealed {objective:<8} {value.value:.2f} [{value.low:.2f}, {value.high:.2f}]", highlight=False)
    for name, summary in score.labelled_summaries.items():
        console.print(f"  labelled expressions, {name}: {summary}", markup=False, highlight=False)
    judges = ", ".join(config.roles.report)
    console.print(
        f"  judged by {judges}; strongest attack {score.strongest}; look {looks} at the sealed people",
        style="dim",
        highlight=False,
    )
