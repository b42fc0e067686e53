"""The frontier of a study, finished or running, or of a part of its trials."""

from collections.abc import Collection, Sequence

from veil.config import StudyConfig
from veil.errors import ConfigError, nearest
from veil.frontier.dominance import frontier
from veil.frontier.overview import Overview
from veil.frontier.points import FrontierPoint
from veil.frontier.stopping import Savings, Training, savings
from veil.frontier.ties import Ties, find_ties
from veil.importance import setting_importance
from veil.objectives import Objective, get_objective
from veil.points import frontier_point, sampled_trial
from veil.records import TrialRecord
from veil.study import StudyFolder
from veil.volume import have_people, trial_hypervolume

NO_CONDITIONING = "none"
"""What a trial without conditioning is called in filters."""


def study_overview(
    config: StudyConfig, folder: StudyFolder, families: Sequence[str] = (), conditionings: Sequence[str] = ()
) -> Overview:
    """Look at the trials that have finished so far; nothing of the study is locked or changed.

    Args:
        config: of the study.
        folder: of the study.
        families: only trials of these; empty looks at all.
        conditionings: only trials with these, "none" for those without; empty looks at all.

    Raises:
        ConfigError: no trial has such a family or conditioning; those that exist are named.
        ProtocolError: two trials were scored on different people.
        DataError: the study's journal cannot be read.
    """
    objectives = [get_objective(name) for name in config.search.objectives]
    records = [record for record in folder.records() if record.compares == "anonymizers"]
    points = {record.number: frontier_point(record) for record in records}
    _check_known("--family", families, {point.family for point in points.values()})
    _check_known("--conditioning", conditionings, {_conditioning(point) for point in points.values()})
    kept = {
        number: point
        for number, point in points.items()
        if (not families or point.family in families) and (not conditionings or _conditioning(point) in conditionings)
    }
    valid = [record for record in records if record.number in kept and record.state == "valid"]
    methods: dict[str, list[int]] = {}
    for record in valid:
        methods.setdefault(record.trainable, []).append(record.number)
    return Overview(
        study=config.study,
        objectives=objectives,
        points=list(kept.values()),
        ties=trial_ties(valid, folder, objectives),
        volume=trial_hypervolume(valid, folder, objectives),
        importance=setting_importance(folder, methods, objectives),
        savings=study_savings(records, objectives),
    )


def study_savings(records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> Savings | None:
    """What early stopping did among some trials; None where none was compared with others at a rung."""
    trainings = [
        _training(record)
        for record in records
        if record.early_scores and record.state in ("valid", "invalid", "stopped")
    ]
    return savings(trainings, [frontier_point(record) for record in records], objectives)


def _training(record: TrialRecord) -> Training:
    last, length = record.early_scores[-1], int(record.params["images"])
    stopped = record.state == "stopped"
    return Training(
        trial=record.number,
        seen=last.images if stopped else length,
        length=length,
        stopped_at=last.images if stopped else None,
        control=last.verdict == "control",
    )


def _conditioning(point: FrontierPoint) -> str:
    return point.conditioning or NO_CONDITIONING


def _check_known(option: str, wanted: Sequence[str], known: Collection[str]) -> None:
    for name in wanted:
        if name not in known:
            raise ConfigError(f"{option} {name!r}: no finished trial of this study has it; {nearest(name, known)}")


def trial_ties(valid: Sequence[TrialRecord], folder: StudyFolder, objectives: Sequence[Objective]) -> Ties | None:
    """What the people scored cannot tell apart; None where a valid trial has no people, as on synthetic problems.

    Raises:
        ProtocolError: two trials were scored on different people.
    """
    if not have_people(valid, folder):
        return None
    best = {point.trial for point in frontier([frontier_point(record) for record in valid], objectives)}
    return find_ties([sampled_trial(record, folder.spreads(record.number)) for record in valid], best, objectives)
