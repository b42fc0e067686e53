"""Sentences for studies of detectors and of attackers: what one change does to fixed anonymizers."""

from collections.abc import Mapping, Sequence

from veil.frontier.points import Interval
from veil.frontier.robustness import Curve, RobustnessPoint, curve_name, robustness_curves, value_text
from veil.frontier.sensitivity import QUANTITIES, Compared
from veil.metrics.intervals import PairedDifference, paired_difference, rate_interval
from veil.report.findings import JudgedTrial, Row, Section, adjusted, change_sentence, check_same_people

_NOTE = "Differences are paired by person. p-values are adjusted by Holm's procedure for all comparisons of the study."


def detector_changes(compared: Mapping[str, Sequence[Compared]], reference: str, people: int) -> Section:
    """What each detector changes beside the reference detector, in leak and utility of each anonymizer.

    Args:
        compared: trials by anonymizer, from `compare_detectors`.
        reference: detector from which differences are taken.
        people: that were put under attack.
    """
    rows = [row for of_anonymizer in compared.values() for row in of_anonymizer]
    shown = [{name: item for name, item in row.differences.items() if name in ("leak", "utility")} for row in rows]
    p_values = adjusted([dict(row.differences) for row in rows])
    count = sum(bool(row) for row in shown)
    sentences = []
    for row, differences, p in zip(rows, shown, p_values, strict=True):
        point = row.point
        change = f"for {point.anonymizer}, aligning by {point.detector} instead of {reference}"
        if differences:
            sentences.append(change_sentence(change, differences, p, count, f"{people} people"))
        elif point.detector != reference:
            sentences.append(f"{change}: open, for the people are not the same, or the reference is missing")
    return Section(
        heading=f"Detectors beside {reference}",
        quantities=tuple(QUANTITIES),
        rows=tuple(
            Row(
                name=f"{row.point.anonymizer}: {row.point.detector}",
                beside="reference"
                if row.point.detector == reference
                else f"{row.point.found} of {row.point.images} images scored",
                trials=(row.point.trial,),
                values=row.point.values,
                differences=row.differences,
                p_values=p,
            )
            for row, p in zip(rows, p_values, strict=True)
        ),
        sentences=tuple(sentences),
        notes=(_NOTE, "A lower leak beside a lower control is no merit of the anonymizer: the detector aligns worse."),
    )


def attacker_changes(points: Sequence[RobustnessPoint], trials: Sequence[JudgedTrial]) -> Section:
    """What each setting of an attacker changes, from the weakest value of a curve to each other one.

    The leak is the worst of everything that the trial's attackers tried, those that learn nothing among them, so
    that a change of it counts only where the attacker matters.

    Args:
        points: valid trials of a study of attackers.
        trials: the same, with their people.

    Raises:
        ProtocolError: trials were scored on different people.
    """
    check_same_people(trials)
    judged = {trial.number: trial for trial in trials}
    curves = robustness_curves(points)
    steps = [(curve, index) for curve in curves for index in range(1, len(curve.points))]
    differences = [
        {"leak": _difference(judged[curve.points[index].trial], judged[curve.points[0].trial])}
        for curve, index in steps
    ]
    p_values = adjusted(differences)
    rows, sentences = [], []
    for (curve, index), found, p in zip(steps, differences, p_values, strict=True):
        if index == 1:
            rows.append(_row(curve, 0, curves, judged))
        rows.append(_row(curve, index, curves, judged, found, p))
        change = (
            f"for {curve_name(curve, curves)}, {curve.attacker} with {curve.setting}="
            f"{value_text(curve.values[index])} instead of {value_text(curve.values[0])}"
        )
        people = judged[curve.points[index].trial].left_out["leak"].size
        sentences.append(change_sentence(change, found, p, len(steps), f"{people} people"))
    return Section(
        heading="Settings of attackers, each beside the weakest value of its curve",
        quantities=("leak",),
        rows=tuple(rows),
        sentences=tuple(sentences),
        notes=(
            _NOTE,
            "Leak is the worst case over all attacks of the trial, naive and parrot among them; curves of the attacker "
            "alone: veil robustness.",
        ),
    )


def _difference(trial: JudgedTrial, weakest: JudgedTrial) -> PairedDifference:
    return paired_difference(
        trial.values["leak"], trial.left_out["leak"], weakest.values["leak"], weakest.left_out["leak"]
    )


def _row(
    curve: Curve,
    index: int,
    curves: Sequence[Curve],
    judged: Mapping[int, JudgedTrial],
    differences: Mapping[str, PairedDifference] | None = None,
    p_values: Mapping[str, float] | None = None,
) -> Row:
    point = curve.points[index]
    trial = judged[point.trial]
    return Row(
        name=f"{curve_name(curve, curves)}: {curve.attacker} {curve.setting}={value_text(curve.values[index])}",
        beside=point.comparison if differences else "weakest",
        trials=(point.trial,),
        values={"leak": Interval(trial.values["leak"], *rate_interval(trial.values["leak"], trial.left_out["leak"]))},
        differences=differences or {},
        p_values=p_values or {},
    )
