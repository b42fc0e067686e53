"""From a frontier to one operating point: chosen, rescored on sealed people, registered."""

from collections.abc import Sequence

from rich.console import Console

from veil.config import SealedConfig, StudyConfig, apply_overrides
from veil.errors import ConfigError, RefusedError
from veil.frontier.points import FrontierPoint
from veil.frontier.selection import select
from veil.picking.budget import Budget, interval
from veil.picking.explanation import explain
from veil.picking.registration import register_point
from veil.picking.rescoring import SealedPeople
from veil.points import frontier_point, sampled_trial
from veil.protocol.full_ladder import sealed_suite
from veil.records import TrialRecord
from veil.registry import trainables
from veil.sealed import SealedLook
from veil.study import StudyFolder
from veil.tracking import Tracker
from veil.tracking.models import ModelName, check_registry


def pick_point(
    folder: StudyFolder,
    budget: Budget,
    register: str | None,
    console: Console,
    tries: int = 1,
    explain_only: bool = False,
    overrides: Sequence[str] = (),
) -> SealedLook | None:
    """Choose, explain, rescore on sealed people, and register.

    Every look at the sealed people is written to `sealed.jsonl` and to MLflow: the more often they are consulted, the
    less a good score on them means.

    Args:
        folder: the study.
        budget: what the point must satisfy.
        register: "NAME@ALIAS" in the model registry, or None to rescore only.
        console: where explanation and verdict go.
        tries: candidates to look at, at most: the next one where a sealed score is refused.
        explain_only: stop after the explanation, without a look at the sealed people.
        overrides: settings "sealed.a=b" laid over those of the study.

    Returns:
        the look at the point that was taken; None if nobody looked.

    Raises:
        ConfigError: no point satisfies the budget, a name is malformed, or what was chosen applies to no other images.
        RefusedError: the sealed scores are invalid or break the budget; nothing is registered.
        ProtocolError: the faces have changed.
        TrackingError: the tracking server or its registry cannot be used.
    """
    name = ModelName.parse(register) if register is not None else None
    config = _judged_by_all(folder.config(), overrides)
    records = {record.number: record for record in folder.records()}
    candidates = _candidates(folder, budget, records)
    console.print(_explanation(folder, budget, records, candidates), markup=False, highlight=False)
    if explain_only:
        return None
    if name is not None:
        _check_registrable(records[candidates[0].trial])
    tracker = Tracker(config, folder.manifest(), sweeping=False)
    if name is not None:
        check_registry(tracker.uri)
    people = SealedPeople(config, folder, tracker, console)
    refused: list[str] = []
    for candidate in candidates[:tries]:
        record = records[candidate.trial]
        if name is not None:
            _check_registrable(record)
        look, number = people.look(record, budget)
        _print_look(console, config, look, number)
        if look.refused is None and (caution := budget.caution(look.score)) is not None:
            console.print(
                f"  its interval reaches beyond the budget: {caution}; --conservative demands that it does not",
                style="yellow",
                markup=False,
                highlight=False,
            )
        if look.refused is None:
            if name is not None:
                register_point(name, folder, people, tracker, record, look, number, console)
            return look
        refused.append(f"on the sealed people, trial {candidate.trial} cannot be taken: {look.refused}")
        if len(refused) < min(tries, len(candidates)):
            console.print(f"  refused: {look.refused}; going on with the next candidate", style="yellow", markup=False)
    raise RefusedError("; ".join([*refused, "nothing is registered"]) + ". " + _next_candidate(candidates[tries:]))


def _judged_by_all(config: StudyConfig, overrides: Sequence[str]) -> StudyConfig:
    """The settings of the study with the suite of the sealed people."""
    strangers = [override for override in overrides if not override.strip().startswith("sealed.")]
    if strangers:
        raise ConfigError(
            f"--set {strangers[0]}: only settings of `sealed` can be changed here; all others belong to the trials "
            "that are finished"
        )
    values = apply_overrides({"sealed": config.sealed.model_dump(mode="json")}, overrides)
    sealed = SealedConfig.parse(values["sealed"], where="sealed")
    return config.model_copy(update={"suite": sealed_suite(config.suite, sealed), "sealed": sealed})


def _candidates(folder: StudyFolder, budget: Budget, records: dict[int, TrialRecord]) -> list[FrontierPoint]:
    if budget.trial is not None and budget.trial not in records:
        raise ConfigError(f"trial {budget.trial} has not finished in study {folder.name!r}; see `veil frontier`")
    asked = [record for record in records.values() if budget.trial in (None, record.number)]
    points = [frontier_point(record) for record in asked if record.compares == "anonymizers"]
    if asked and not points:
        what = "every trial" if budget.trial is None else f"trial {budget.trial}"
        judged = {
            "attackers": "was judged by one attacker at a strength of its own, not by a whole suite",
            "detectors": "was judged on crops of its own, not on those of the study",
        }[asked[0].compares]
        raise ConfigError(
            f"nothing to pick: {what} of study {folder.name!r} {judged}; pick from a study of anonymizers"
        )
    if budget.trial is None:
        return select(
            points,
            max_leak=budget.max_leak,
            min_utility=budget.min_utility,
            knee=budget.knee,
            conservative=budget.conservative,
        )
    if not points[0].valid or points[0].synthetic:
        why = points[0].reason if not points[0].valid else "it is a synthetic problem, not an anonymizer"
        raise ConfigError(f"trial {budget.trial} cannot be picked: {why}")
    return points


def _explanation(
    folder: StudyFolder, budget: Budget, records: dict[int, TrialRecord], candidates: Sequence[FrontierPoint]
) -> str:
    compared = [record for record in records.values() if record.compares == "anonymizers"]
    samples = {
        record.number: sampled_trial(record, folder.spreads(record.number))
        for record in compared
        if record.state == "valid" and folder.has_spreads(record.number)
    }
    return explain([frontier_point(record) for record in compared], budget, candidates, samples)


def _check_registrable(record: TrialRecord) -> None:
    if not getattr(trainables.get(record.trainable), "registrable", True):
        raise ConfigError(
            f"trial {record.number} ({record.label}) cannot be registered: it applies to no images but those "
            "of this study; leave out --register to rescore it, or choose another trial with --trial"
        )


def _next_candidate(candidates: Sequence[FrontierPoint]) -> str:
    if not candidates:
        return "No other trial meets the budget on the search people: relax it or run more trials."
    following = candidates[0]
    return (
        f"Next candidate: trial {following.trial} ({following.label}), with --trial {following.trial}, or let pick go "
        "on by itself with --tries"
    )


def _print_look(console: Console, config: StudyConfig, look: SealedLook, number: int) -> None:
    score = look.score
    console.print(f"trial {look.trial} ({look.label}) on the sealed people:", markup=False, highlight=False)
    for objective in ("leak", "utility") if score.valid else ():
        console.print(f"  sealed {objective:<8} {interval(score.objectives[objective])}", markup=False, highlight=False)
    for name, summary in score.labelled_summaries.items():
        console.print(f"  labelled expressions, {name}: {summary}", markup=False, highlight=False)
    judges, strongest = ", ".join(config.roles.report), score.strongest or "–"
    console.print(
        f"  judged by {judges}; strongest attack {strongest}; look {number} at the sealed people",
        style="dim",
        markup=False,
        highlight=False,
    )
