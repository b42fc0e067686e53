"""What a change of a method does: groups of repeated trainings beside their reference."""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from veil.frontier.points import Interval
from veil.interfaces import Question
from veil.metrics.intervals import PairedDifference
from veil.metrics.repeated import Repeated, repeated_difference, repeated_interval
from veil.report.findings import (
    EQUAL,
    JudgedTrial,
    Row,
    Section,
    adjusted,
    change_sentence,
    check_same_people,
)

QUANTITIES = ("leak", "utility")

Group = dict[str, JudgedTrial]
"""Trials of a group by what tells them from each other, such as their training seed."""


def answer_questions(questions: Sequence[Question], trials: Sequence[JudgedTrial]) -> list[Section]:
    """One section for each reference, with the questions that depart from it.

    Args:
        questions: of the study's search space, those that compare trials.
        trials: valid ones.

    Raises:
        ProtocolError: trials were scored on different people.
    """
    check_same_people(trials)
    groups = [(_group(item.reference, item, trials), _group(item.variant, item, trials)) for item in questions]
    differences = [_differences(reference, variant) for reference, variant in groups]
    p_values = adjusted(differences)
    sections: dict[str, list[int]] = {}
    for index, question in enumerate(questions):
        sections.setdefault(_canonical(question.reference), []).append(index)
    asked = sum(bool(row) for row in differences)
    found = []
    for members in sections.values():
        rows = [_row(f"reference: {group_name(questions[members[0]].reference)}", groups[members[0]][0])]
        sentences = []
        for index in members:
            question, (reference, variant) = questions[index], groups[index]
            name = group_name(question.variant)
            rows.append(_row(name, variant, question.change, differences[index], p_values[index]))
            if differences[index]:
                sample = _sample(reference, variant)
                sentences.append(change_sentence(question.change, differences[index], p_values[index], asked, sample))
            else:
                empty = group_name(question.variant if reference else question.reference)
                sentences.append(f"{question.change}: open, for no trial of {empty!r} is valid")
        section = Section(
            heading=f"Changes of {group_name(questions[members[0]].reference)}",
            quantities=QUANTITIES,
            rows=tuple(row for row in rows if row.trials),
            sentences=tuple(sentences),
            notes=_notes([group for index in members for group in groups[index]]),
        )
        found.append(section)
    return found


def group_name(values: Mapping[str, object]) -> str:
    """Values that a group shares, for people.

    >>> group_name({"variant": "full"}), group_name({"k": 2, "on": True})
    ('full', 'k=2, on=True')
    """
    if len(values) == 1 and isinstance(value := next(iter(values.values())), str):
        return value
    return ", ".join(f"{name}={value}" for name, value in values.items())


def members(values: Mapping[str, object], trials: Sequence[JudgedTrial]) -> list[JudgedTrial]:
    """Trials that sampled these values."""
    return [trial for trial in trials if values.items() <= trial.sampled.items()]


def _group(values: Mapping[str, object], question: Question, trials: Sequence[JudgedTrial]) -> Group:
    """Of trials that sampled the same the first counts, for equal trainings are no repetitions."""
    named = question.reference.keys() | question.variant.keys()
    group: Group = {}
    for trial in sorted(members(values, trials), key=lambda trial: trial.number):
        rest = {name: value for name, value in trial.sampled.items() if name not in named}
        group.setdefault(_canonical(rest), trial)
    return group


def _canonical(values: Mapping[str, object]) -> str:
    return json.dumps(dict(values), sort_keys=True, default=str)


def _repeated(group: Group, keys: Sequence[str], quantity: str) -> Repeated:
    chosen = [group[key] for key in keys]
    return Repeated(
        np.array([trial.values[quantity] for trial in chosen]), np.stack([trial.left_out[quantity] for trial in chosen])
    )


def _differences(reference: Group, variant: Group) -> dict[str, PairedDifference]:
    if not reference or not variant:
        return {}
    paired = reference.keys() == variant.keys()
    keys = sorted(variant), sorted(reference)
    return {
        name: repeated_difference(_repeated(variant, keys[0], name), _repeated(reference, keys[1], name), paired)
        for name in QUANTITIES
    }


def _row(
    name: str,
    group: Group,
    beside: str = "",
    differences: Mapping[str, PairedDifference] | None = None,
    p_values: Mapping[str, float] | None = None,
) -> Row:
    repeated = {quantity: _repeated(group, list(group), quantity) for quantity in QUANTITIES} if group else {}
    return Row(
        name=name,
        beside=beside,
        trials=tuple(trial.number for trial in group.values()),
        values={quantity: Interval(item.mean, *repeated_interval(item)) for quantity, item in repeated.items()},
        deviations={quantity: item.deviation for quantity, item in repeated.items() if item.deviation is not None},
        differences=differences or {},
        p_values=p_values or {},
    )


def _sample(reference: Group, variant: Group) -> str:
    people = next(iter(reference.values())).left_out[QUANTITIES[0]].size
    counts = sorted({len(reference), len(variant)})
    trainings = " and ".join(map(str, counts)) + (" training each" if counts == [1] else " trainings")
    return f"{people} people and {trainings}"


def _notes(groups: Sequence[Group]) -> tuple[str, ...]:
    notes = [
        "Values are means over trainings that differ in their seed; ± is the standard deviation between them. "
        "Intervals of 95 % count people and trainings; differences are paired by person, and by seed where both groups "
        "have the same seeds.",
        f"“At equal leak” is said where the whole interval of the difference of leak lies within ±{EQUAL:g} and "
        "contains 0.",
        "p-values are adjusted by Holm's procedure for all questions of the study.",
    ]
    if any(len(group) == 1 for group in groups):
        notes.append(
            "A group of one training says nothing of how much trainings vary: its row holds for that training alone. "
            "Ask for three seeds or more."
        )
    return tuple(notes)
