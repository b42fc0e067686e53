"""Finished trials as points: of a frontier, of a curve, of a comparison of detectors, or of paired comparisons."""

from collections.abc import Iterable, Mapping

from veil.config import flatten
from veil.errors import ProtocolError
from veil.frontier.comparison import SampledTrial
from veil.frontier.points import FrontierPoint, Interval
from veil.frontier.robustness import SEPARATOR, RobustnessPoint
from veil.frontier.sensitivity import SensitivityPoint
from veil.protocol.measurement import CONTROL, Spread
from veil.protocol.score import TrialScore
from veil.records import StudyKind, TrialRecord


def compared(records: Iterable[TrialRecord]) -> StudyKind:
    """What a study compares; one of attackers or detectors has curves or differences, and no frontier."""
    kinds = {record.compares for record in records} - {"anonymizers"}
    return kinds.pop() if kinds else "anonymizers"


def frontier_point(record: TrialRecord) -> FrontierPoint:
    """The record as a point for tables, pages and selection.

    Raises:
        ProtocolError: the trial was judged at a strength or on crops of its own, so that its leak compares with no
            other.
    """
    if record.compares == "detectors":
        raise ProtocolError(
            f"trial {record.number} ({record.label}) was judged on faces that the detector {record.detector!r} found: "
            "its scores compare with no other crops; see `veil sensitivity`"
        )
    if record.compares == "attackers":
        raise ProtocolError(
            f"trial {record.number} ({record.label}) was judged by {' and '.join(record.strength)} at a strength of "
            "its own and not by a whole suite: its leak compares with no other; see `veil robustness`"
        )
    conditioning = record.params.get("conditioning")
    return FrontierPoint(
        trial=record.number,
        label=f"{record.label} (one expression for all)" if _collapsed(record.score) else record.label,
        family=record.family,
        trainable=record.trainable,
        conditioning=conditioning if isinstance(conditioning, str) else None,
        valid=record.state == "valid",
        stopped=record.state == "stopped",
        reason=record.reason,
        synthetic=record.synthetic,
        objectives={name: (value.value, value.low, value.high) for name, value in record.objectives.items()},
        extras=_extras(record.score) if record.score is not None else {},
        strongest=record.score.strongest if record.score is not None else None,
        sampled=record.sampled,
    )


def sampled_trial(record: TrialRecord, spreads: Mapping[str, Spread]) -> SampledTrial:
    """A valid trial with its objectives in other samples of the people, for paired comparisons."""
    return SampledTrial(
        number=record.number,
        label=record.label,
        values={name: estimate.value for name, estimate in record.objectives.items()},
        left_out={name: spread.left_out for name, spread in spreads.items()},
    )


def robustness_point(record: TrialRecord) -> RobustnessPoint:
    """A valid trial that was judged at a strength of its own, as a point of a curve."""
    assert record.score is not None and record.score.valid
    ((attacker, strength),) = record.strength.items()
    rungs = record.score.rungs
    worst = max(
        (rung for rung in rungs if rung.name.split("/")[0] == attacker), key=lambda rung: (rung.tar.value, rung.name)
    )
    references = {
        name: Interval(*max((rung.tar.value, rung.tar.low, rung.tar.high) for rung in rungs if rung.name == name))
        for name in ("naive", "parrot")
    }
    return RobustnessPoint(
        trial=record.number,
        anonymizer=record.label.partition(f" {SEPARATOR} ")[0],
        attacker=attacker,
        strength=flatten(strength),
        leak=Interval(worst.tar.value, worst.tar.low, worst.tar.high),
        comparison=worst.name,
        floor_mean=worst.floor_mean,
        floor_95=worst.floor_95,
        references=references,
    )


def sensitivity_point(record: TrialRecord, spreads: Mapping[str, Spread]) -> SensitivityPoint:
    """A valid trial on crops of its own, as a row of a comparison of detectors.

    Args:
        record: the trial.
        spreads: its objectives, and its control, in other samples of the people.
    """
    score = record.score
    assert record.detector is not None and score is not None and score.valid
    control = min((rung.tar for rung in score.rungs if rung.rung == CONTROL), key=lambda tar: tar.value)
    estimates = {"control": control, **score.objectives}
    return SensitivityPoint(
        trial=record.number,
        anonymizer=record.label.partition(f" {SEPARATOR} ")[0],
        detector=record.detector,
        contract_hash=score.contract_hash,
        found=score.n_images,
        images=score.n_images + score.undetected + score.without_landmarks,
        values={name: Interval(item.value, item.low, item.high) for name, item in estimates.items()},
        left_out={name: spread.left_out for name, spread in spreads.items()},
    )


def _collapsed(score: TrialScore | None) -> bool:
    return score is not None and score.expression is not None and score.expression.collapsed


def _extras(score: TrialScore) -> dict[str, float]:
    """Numbers that belong beside the objectives; of several recognizers, ways of attack or sets, the worst counts."""
    extras: dict[str, float] = {}
    for rung in score.rungs:
        name = rung.name.split("/")[0]
        worst = min if name == "control" else max
        extras[name] = worst(extras.get(name, rung.tar.value), rung.tar.value)
    if score.leak_floor_mean is not None and score.leak_floor_95 is not None:
        extras["floor_mean"], extras["floor_95"] = score.leak_floor_mean, score.leak_floor_95
    if score.proxy:
        extras["proxy_cosine"] = max(reading.cosine for reading in score.proxy.values())
        extras["proxy_naive"] = max(reading.naive_tar for reading in score.proxy.values())
    if score.recognizers:
        extras["search_cosine"] = max(reading.cosine for reading in score.recognizers.values())
    labelled = [(found.accuracy.value, found.macro_f1.value) for found in score.labelled_sets.values()]
    if score.expression is not None and score.expression.labelled is not None:
        labelled.append((score.expression.labelled.accuracy, score.expression.labelled.macro_f1))
    if labelled:
        extras["labelled_accuracy"], extras["labelled_macro_f1"] = map(min, zip(*labelled, strict=True))
    extras["collapsed"] = float(_collapsed(score))
    return extras
