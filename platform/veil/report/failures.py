"""Whom an anonymizer fails: the people who are recognized most and whose expression suffers most, by no name."""

import base64
import statistics
from collections import Counter
from typing import NamedTuple

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.subplots import make_subplots

from veil.frontier.figures import COLOURS, MUTED, common_layout
from veil.protocol.score import PersonScore
from veil.records import TrialRecord
from veil.report.ladder import listed_trials
from veil.report.material import Material

MOST_ROWS = 12
"""Trials whose people are shown; the best come first."""
QUANTITIES = ("tar", "utility")
WHICH = {"tar": ("most", "median", "least"), "utility": ("least", "median", "most")}
"""From the person who fares worst to the one who fares best."""


class FailureRow(NamedTuple):
    """How unevenly one anonymizer treats people.

    Attributes:
        record: the trial.
        leak, utility: over all people, with intervals.
        tar, utilities: of the person who fares worst, of the middle, and of the one who fares best.
    """

    record: TrialRecord
    leak: Markup
    tar: tuple[Markup, ...]
    utility: Markup
    utilities: tuple[Markup, ...]


class Repeated(NamedTuple):
    """How often one and the same person fares worst.

    Attributes:
        trials: that keep people.
        recognized: in how many of them the person is most recognized who is so most often.
        damaged: the same of the person whose expression suffers most.
        by_chance: in how many each person would be it on average if chance decided.
    """

    trials: int
    recognized: int
    damaged: int
    by_chance: float


def trials_with_people(material: Material) -> list[TrialRecord]:
    """Listed trials whose scores keep people."""
    return [record for record in listed_trials(material) if material.scores[record.number].people]


def failure_rows(material: Material) -> list[FailureRow]:
    """The best trials, with the spread over people."""
    return [_row(material, record) for record in trials_with_people(material)[:MOST_ROWS]]


def _row(material: Material, record: TrialRecord) -> FailureRow:
    evidence, score = material.evidence, material.scores[record.number]
    values = {name: sorted(_values(score.people, name)) for name in QUANTITIES}
    cells = {}
    for name, ordered in values.items():
        found = {"least": ordered[0], "median": statistics.median(ordered), "most": ordered[-1]}
        cells[name] = tuple(
            evidence.number(found[which], f"people/{name}_{which}", record.number) for which in WHICH[name]
        )
    return FailureRow(
        record=record,
        leak=evidence.interval(score.objectives["leak"], "objective/leak", record.number),
        tar=cells["tar"],
        utility=evidence.interval(score.objectives["utility"], "objective/utility", record.number),
        utilities=cells["utility"],
    )


def _values(people: tuple[PersonScore, ...], name: str) -> list[float]:
    return [value for person in people if (value := getattr(person, name)) is not None]


def repeated_failures(material: Material) -> Repeated:
    """Whether anonymizers fail the same people; at least one trial keeps people."""
    people = [material.scores[record.number].people for record in trials_with_people(material)]
    recognized = Counter(max(range(len(row)), key=lambda index: row[index].tar or 0.0) for row in people)
    damaged = Counter(min(range(len(row)), key=lambda index: row[index].utility) for row in people)
    return Repeated(
        trials=len(people),
        recognized=max(recognized.values()),
        damaged=max(damaged.values()),
        by_chance=len(people) / len(people[0]),
    )


def people_figure(material: Material) -> go.Figure:
    """One row a trial, one dot a person: TAR of the strongest attack, and utility; a line marks that of all people."""
    records = trials_with_people(material)[:MOST_ROWS]
    figure = make_subplots(
        rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.05,
        subplot_titles=["recognized by the strongest attack", "utility kept"],
    )  # fmt: skip
    names = [f"#{record.number}" for record in records]
    for column, quantity in enumerate(QUANTITIES, start=1):
        for place, record in enumerate(records):
            values = _values(material.scores[record.number].people, quantity)
            figure.add_scatter(
                x=values,
                y=[place] * len(values),
                mode="markers",
                marker={"color": COLOURS[0] if quantity == "tar" else COLOURS[3], "size": 9, "opacity": 0.55},
                hovertemplate=f"trial {record.number}: one person, %{{x:.2f}}<extra></extra>",
                row=1,
                col=column,
            )
        objective = "leak" if quantity == "tar" else "utility"
        figure.add_scatter(
            x=[material.scores[record.number].objectives[objective].value for record in records],
            y=list(range(len(records))),
            mode="markers",
            marker={"symbol": "line-ns-open", "size": 18, "color": MUTED, "line": {"width": 2}},
            hovertemplate="over all people %{x:.2f}<extra></extra>",
            row=1,
            col=column,
        )
    figure.update_xaxes(range=[-0.03, 1.03], tick0=0, dtick=0.2)
    figure.update_yaxes(tickvals=list(range(len(records))), ticktext=names, range=[len(records) - 0.4, -0.6])
    common_layout(figure)
    figure.update_layout(margin={"l": 60, "r": 16, "t": 40, "b": 36}, showlegend=False, hovermode="closest")
    return figure


def picture(material: Material, trial: int) -> str | None:
    """Faces of the two people whom a trial fails most, as the source of an image.

    None where the terms of the data do not let a report show them, or the trial keeps none.
    """
    credited = material.about is not None and material.about.picture_credit is not None
    faces = material.folder.failures(trial) if credited else None
    return f"data:image/webp;base64,{base64.b64encode(faces).decode()}" if faces is not None else None
