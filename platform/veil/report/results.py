"""The study's main result: its frontier with baselines, its curves of attackers, or its comparison of detectors."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go
from markupsafe import Markup

from veil.frontier.dominance import Standing
from veil.frontier.figures import family_colours, tradeoff_figure
from veil.frontier.points import FrontierPoint
from veil.frontier.robustness import robustness_curves
from veil.frontier.robustness_page import robustness_figure
from veil.frontier.sensitivity import compare_detectors
from veil.frontier.sensitivity_page import sensitivity_figure
from veil.frontier.table import MARKS
from veil.points import robustness_point, sensitivity_point
from veil.protocol.score import RealismScore
from veil.report.ladder import MOST_ROWS
from veil.report.material import Material
from veil.reporting import study_hypervolume_interval


class ResultRow(NamedTuple):
    """One trial; every cell is ready to be shown."""

    trial: int
    mark: str
    standing: Standing
    label: str
    family: str
    objectives: tuple[Markup, ...]
    kid: Markup
    strongest: str


def result_rows(material: Material) -> list[ResultRow]:
    """Valid trials with what they achieved: frontier, then ties, then the others; at most MOST_ROWS."""
    return [_row(material, point, standing) for point, standing in material.rows[:MOST_ROWS]]


def _row(material: Material, point: FrontierPoint, standing: Standing) -> ResultRow:
    evidence, realism = material.evidence, material.scores[point.trial].realism
    return ResultRow(
        trial=point.trial,
        mark=MARKS[standing],
        standing=standing,
        label=point.label,
        family=point.family,
        objectives=tuple(
            evidence.interval(point.interval(objective.name), f"objective/{objective.name}", point.trial)
            for objective in material.objectives
        ),
        kid=_kid(material, realism, point.trial),
        strongest=point.strongest or "–",
    )


def _kid(material: Material, realism: RealismScore | None, trial: int) -> Markup:
    if realism is None or realism.kid is None:
        return Markup("–")
    return material.evidence.interval(realism.kid, "realism/kid", trial)


def hypervolume(material: Material) -> Markup:
    """Of the study's frontier, with its interval over resamples of the people."""
    volume = study_hypervolume_interval(material.config, material.folder)
    return material.evidence.interval(volume, "hypervolume", form=".3f")


def main_figure(material: Material) -> go.Figure:
    """The figure that fits what the study compares."""
    if material.kind == "attackers":
        curves = robustness_curves([robustness_point(record) for record in material.valid])
        return robustness_figure(curves, material.config.suite.far)
    if material.kind == "detectors":
        points = [sensitivity_point(record, material.folder.spreads(record.number)) for record in material.valid]
        data = material.config.data
        return sensitivity_figure(compare_detectors(points, data.detector, data.splits.search))
    ties = {point.trial for point, standing in material.rows if standing == "tie"}
    return _for_print(tradeoff_figure(material.points, material.objectives, ties), material.points)


def _for_print(figure: go.Figure, points: Sequence[FrontierPoint]) -> go.Figure:
    """The frontier with a legend of its own, values to hover over, and trial numbers in place of long names."""
    labels = {str(point.trial): point for point in points}
    for trace in figure.data:
        if not trace.ids or not trace.meta:
            continue
        trace.update(
            hoverinfo=None,
            customdata=[_hover(labels[number]) for number in trace.ids],
            hovertemplate="%{customdata}<extra></extra>",
            legendgroup=trace.meta["family"],
        )
    for family, colour in family_colours(points).items():
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            marker={"color": colour, "size": 11},
            name=family,
            legendgroup=family,
            showlegend=True,
        )
    for note in figure.layout.annotations:
        if note.name in labels:
            note.update(text=f"#{note.name}")
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.01, "x": 0}
    return figure.update_layout(showlegend=True, legend=legend, margin={"t": 56})


def _hover(point: FrontierPoint) -> str:
    measured = "<br>".join(f"{name} {point.interval(name)}" for name in point.objectives)
    return f"<b>{Markup.escape(point.label)}</b>  trial {point.trial}<br>{measured}<br>strongest: {point.strongest}"
