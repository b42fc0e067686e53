"""Parallel coordinates: settings, attacks and objectives of each trial as one line, and what settings explain."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from veil.frontier.dominance import Standing
from veil.frontier.figures import COLOURS, MUTED, common_layout, family_colours
from veil.frontier.importance import Importance
from veil.frontier.points import FrontierPoint
from veil.frontier.table import ARROWS, EXTRA_HEADINGS
from veil.objectives import Objective

ATTACKS = ("naive", "reverse", "parrot", "informed", "finetuned", "reversal")
ALL_METHODS = "all methods"
LOGARITHMIC = 30.0
"""Ratio of the largest to the smallest value above which a positive setting gets a logarithmic axis."""

QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)

LINES: dict[Standing, tuple[float, float]] = {"beaten": (1.0, 0.3), "tie": (1.4, 0.7), "frontier": (2.2, 1.0)}
"""Width in pixels and opacity."""

BARS = (COLOURS[2], COLOURS[0], COLOURS[1])
"""Colours of the objectives, in order."""


class Axis(NamedTuple):
    """One vertical axis.

    Attributes:
        heading: above it.
        places: height of each trial between 0 and 1, by number; trials without a value are missing.
        ticks: heights with their texts.
    """

    heading: str
    places: dict[int, float]
    ticks: list[tuple[float, str]]


def parallel_figures(
    rows: Sequence[tuple[FrontierPoint, Standing]], objectives: Sequence[Objective]
) -> dict[str, go.Figure]:
    """Parallel coordinates of all valid trials over what all have, and of each method's trials over its settings.

    Lines have the trial as `id` of their corners, traces the family, conditioning and standing as `meta`; the last
    trace is empty, for the trial that a page points out.

    Args:
        rows: valid trials with their standings.
        objectives: axes of the study.

    Returns:
        figures by method, all methods first; a method whose settings do not vary has none.
    """
    points = [point for point, _ in rows]
    colours = family_colours(points)
    figures = {}
    if len(rows) > 1:
        axes = [_categories("conditioning", {p.trial: p.conditioning for p in points if p.conditioning})]
        for name in ATTACKS:
            values = {point.trial: point.extras[name] for point in points if name in point.extras}
            axes.append(_rate(EXTRA_HEADINGS[name].replace("\n", " "), values))
        figures[ALL_METHODS] = _figure(rows, [*filter(_varies, axes), *_objectives(points, objectives)], colours)
    for method in sorted({point.trainable for point in points}):
        own = [(point, standing) for point, standing in rows if point.trainable == method]
        points = [point for point, _ in own]
        settings = [axis for name in _settings(points) if _varies(axis := _setting(name, points))]
        if settings:
            figures[method] = _figure(own, [*settings, *_objectives(points, objectives)], colours)
    return figures


def importance_figure(importance: Importance) -> go.Figure:
    """Bars: the share of each objective's variance that each setting of a method explains."""
    settings = importance.settings[::-1]
    figure = go.Figure(
        [
            go.Bar(
                y=settings,
                x=[shares.get(name, 0.0) for name in settings],
                name=objective,
                orientation="h",
                marker={"color": colour},
                hovertemplate="%{y}: %{x:.0%} of " + objective + "<extra></extra>",
            )
            for (objective, shares), colour in zip(
                importance.shares.items(), (COLOURS[2], COLOURS[0], COLOURS[1]), strict=False
            )
        ]
    )
    common_layout(figure)
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(automargin=True)
    figure.update_layout(
        margin={"l": 8, "r": 16, "t": 30, "b": 32},
        barmode="group",
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
    )
    return figure


def _settings(points: Sequence[FrontierPoint]) -> list[str]:
    return list(dict.fromkeys(name for point in points for name in point.sampled))


def _varies(axis: Axis) -> bool:
    return len(set(axis.places.values())) > 1


def _objectives(points: Sequence[FrontierPoint], objectives: Sequence[Objective]) -> list[Axis]:
    axes = []
    for item in objectives:
        values = {point.trial: point.interval(item.name).value for point in points}
        heading = f"<b>{item.name}</b> {ARROWS[item.direction]}"
        axes.append(_rate(heading, values) if item.bounds == (0.0, 1.0) else _numbers(heading, values))
    return axes


def _setting(name: str, points: Sequence[FrontierPoint]) -> Axis:
    values = {point.trial: point.sampled[name] for point in points if name in point.sampled}
    numbers = {
        trial: float(value)
        for trial, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return _numbers(name, numbers) if len(numbers) == len(values) else _categories(name, values)


def _rate(heading: str, values: dict[int, float]) -> Axis:
    return Axis(heading, values, [(place, f"{place:g}") for place in QUARTERS])


def _numbers(heading: str, values: dict[int, float]) -> Axis:
    low, high = (min(values.values()), max(values.values())) if values else (0.0, 0.0)
    if low == high:
        return Axis(heading, dict.fromkeys(values, 0.5), [(0.5, f"{low:.3g}")])
    scale, back = (math.log, math.exp) if low > 0 and high / low > LOGARITHMIC else (float, float)
    start, length = scale(low), scale(high) - scale(low)
    places = {trial: (scale(value) - start) / length for trial, value in values.items()}
    return Axis(
        heading, places, [(place, f"{back(start + place * length):.3g}") for place in (0.0, 0.25, 0.5, 0.75, 1.0)]
    )


def _categories(heading: str, values: dict[int, object]) -> Axis:
    names = sorted({str(value) for value in values.values()})
    height = {name: index / max(1, len(names) - 1) for index, name in enumerate(names)}
    return Axis(
        heading,
        {trial: height[str(value)] for trial, value in values.items()},
        [(height[name], name) for name in names],
    )


def _figure(rows: Sequence[tuple[FrontierPoint, Standing]], axes: Sequence[Axis], colours: dict[str, str]) -> go.Figure:
    groups: dict[tuple[Standing, str, str], list[int]] = {}
    for point, standing in reversed(rows):
        groups.setdefault((standing, point.family, point.conditioning or ""), []).append(point.trial)
    figure = go.Figure()
    for (standing, family, conditioning), trials in groups.items():
        width, opacity = LINES[standing]
        trace = _lines(trials, axes, colours[family], width).update(
            opacity=opacity, meta={"family": family, "conditioning": conditioning, "standing": standing}
        )
        figure.add_trace(trace)
    ticks = [(index, place, text) for index, axis in enumerate(axes) for place, text in axis.ticks]
    figure.add_trace(
        go.Scatter(
            x=[index + 0.02 for index, _, _ in ticks],
            y=[place for _, place, _ in ticks],
            text=[text for _, _, text in ticks],
            mode="text",
            textposition="middle right",
            textfont={"size": 10.5, "color": MUTED},
            hoverinfo="skip",
            cliponaxis=False,
        )
    )
    figure.add_trace(_lines([], axes, MUTED, 4.0).update(hoverinfo="skip"))
    common_layout(figure)
    figure.update_xaxes(
        tickvals=list(range(len(axes))), ticktext=[axis.heading for axis in axes], side="top", showgrid=True,
        gridcolor="#94a3b8", showline=False, ticks="", range=[-0.08, len(axes) - 0.5], fixedrange=True,
        ticklabeloverflow="allow",
    )  # fmt: skip
    figure.update_yaxes(visible=False, range=[-0.04, 1.04], fixedrange=True)
    figure.update_layout(margin={"l": 56, "r": 12, "t": 34, "b": 8}, hovermode="closest", showlegend=False)
    return figure


def _lines(trials: Sequence[int], axes: Sequence[Axis], colour: str, width: float) -> go.Scatter:
    """One trace for many trials: their corners one after the other, with a gap behind each and for missing values."""
    corners: list[tuple[int | None, float | None, str]] = []
    for trial in trials:
        heights = [axis.places.get(trial) for axis in axes]
        corners += [(index, height and round(height, 4), str(trial)) for index, height in enumerate(heights)]
        corners.append((None, None, ""))
    return go.Scatter(
        x=[x for x, _, _ in corners],
        y=[y for _, y, _ in corners],
        ids=[trial for _, _, trial in corners],
        mode="lines",
        line={"color": colour, "width": width},
        hoverinfo="none",
        cliponaxis=False,
    )
