"""Curves of leak against strength as one self-contained HTML file."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from veil.frontier.figures import COLOURS, MUTED, common_layout
from veil.frontier.frame import framed_page, html_table
from veil.frontier.robustness import Curve, RobustnessPoint, curve_name, robustness_curves, value_text

COLUMNS = 2
PANEL_PIXELS = 360
DASHES = {"naive": "dot", "parrot": "dash"}
REFERENCE_NAMES = {"naive": "A1 naive, learns nothing", "parrot": "A3 parrot, learns nothing"}


def write_robustness_page(
    path: Path, points: Sequence[RobustnessPoint], study: str, far: float, invalid: Mapping[str, str] | None = None
) -> Path:
    """Write `render_robustness` to a file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_robustness(points, study, far, invalid), encoding="utf-8")
    return path


def render_robustness(
    points: Sequence[RobustnessPoint], study: str, far: float, invalid: Mapping[str, str] | None = None
) -> str:
    """HTML of a study of attackers; it needs no network and no other file.

    Args:
        points: valid trials; may be empty.
        study: name of the study.
        far: false accept rate at which TAR is read.
        invalid: reasons by name of the trials that are not valid.
    """
    curves = robustness_curves(points)
    panels = list(dict.fromkeys((curve.attacker, curve.setting) for curve in curves))
    return framed_page(
        subject="robustness",
        study=study,
        lead="How much of an anonymizer's protection is left as an attacker grows stronger.",
        height=PANEL_PIXELS * max(1, math.ceil(len(panels) / COLUMNS)) + 60,
        figure=("Leak against strength", robustness_figure(curves, far)),
        reading=_reading(far),
        table=("All strengths", _table(points, far)),
        invalid=invalid or {},
    )


def robustness_figure(curves: Sequence[Curve], far: float) -> go.Figure:
    """One panel for each setting of each attacker, one curve an anonymizer, what learns nothing as dashed lines."""
    panels = list(dict.fromkeys((curve.attacker, curve.setting) for curve in curves))
    rows = max(1, math.ceil(len(panels) / COLUMNS))
    figure = make_subplots(
        rows=rows,
        cols=COLUMNS if len(panels) > 1 else 1,
        subplot_titles=[f"{attacker}: {setting}" for attacker, setting in panels],
        horizontal_spacing=0.08,
        vertical_spacing=0.28 / rows,
    )
    names = list(dict.fromkeys(curve_name(curve, curves) for curve in curves))
    for index, panel in enumerate(panels):
        place = {"row": index // COLUMNS + 1, "col": index % COLUMNS + 1}
        members = [curve for curve in curves if (curve.attacker, curve.setting) == panel]
        positions = _positions([value for curve in members for value in curve.values])
        for curve in members:
            name = curve_name(curve, curves)
            colour = COLOURS[names.index(name) % len(COLOURS)]
            shown = name not in {trace.name for trace in figure.data}
            for trace in _traces(curve, name, colour, positions, shown):
                figure.add_trace(trace, **place)
        floor = max(point.floor_95 for curve in members for point in curve.points)
        figure.add_hrect(y0=0, y1=floor, fillcolor=MUTED, opacity=0.14, line_width=0, **place)
        figure.update_xaxes(title_text=panel[1], tickvals=list(positions.values()), ticktext=list(positions), **place)
        figure.update_yaxes(title_text=f"TAR at FAR {far:g}", range=[-0.03, 1.05], tick0=0, dtick=0.2, **place)
    for key, dash in DASHES.items():
        line = {"color": MUTED, "dash": dash, "width": 1.4}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", line=line, name=REFERENCE_NAMES[key]))
    band = {"symbol": "square", "size": 12, "color": "rgba(100,116,139,0.25)"}
    figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", marker=band, name="chance, up to 95 %"))
    common_layout(figure)
    figure.update_layout(
        margin={"l": 64, "r": 20, "t": 70, "b": 56},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1 + 0.12 / rows, "x": 0, "font": {"size": 12}},
        hovermode="closest",
    )
    return figure


def _traces(curve: Curve, name: str, colour: str, positions: Mapping[str, float], in_legend: bool) -> list[go.Scatter]:
    x = [positions[value_text(value)] for value in curve.values]
    intervals = [point.leak for point in curve.points]
    own = go.Scatter(
        x=x,
        y=[interval.value for interval in intervals],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [interval.high - interval.value for interval in intervals],
            "arrayminus": [interval.value - interval.low for interval in intervals],
            "thickness": 1.2,
            "width": 4,
        },
        # Between words there is nothing to draw a line through.
        mode="markers" if any(isinstance(value, str) for value in curve.values) else "lines+markers",
        line={"color": colour, "width": 2.2},
        marker={"size": 9, "line": {"color": "white", "width": 1.2}},
        name=name,
        legendgroup=name,
        showlegend=in_legend,
        customdata=[
            f"<b>{escape(point.anonymizer)}</b>  trial {point.trial}<br>{escape(curve.setting)} = "
            f"{escape(value_text(point.strength[curve.setting]))}<br>TAR {point.leak}<br>{escape(point.comparison)}"
            f"<br>chance up to {point.floor_95:.3f}"
            for point in curve.points
        ],
        hovertemplate="%{customdata}<extra></extra>",
        cliponaxis=False,
    )
    span = [min(positions.values()), max(positions.values())]
    references = [
        go.Scatter(
            x=span,
            y=[curve.points[0].references[key].value] * 2,
            mode="lines",
            line={"color": colour, "dash": dash, "width": 1.4},
            legendgroup=name,
            showlegend=False,
            hovertemplate=f"{escape(name)}: {REFERENCE_NAMES[key]}, %{{y:.2f}}<extra></extra>",
        )
        for key, dash in DASHES.items()
        if key in curve.points[0].references
    ]
    return [*references, own]


def _positions(values: Sequence[Any]) -> dict[str, float]:
    """Place of each value on its axis, by its text: logarithmic for positive numbers, equal steps for the rest."""
    numbers = sorted({value for value in values if isinstance(value, int | float) and not isinstance(value, bool)})
    others = [value for value in values if value not in numbers]
    if numbers and numbers[0] > 0 and all(value is None for value in others):
        places = {value_text(number): math.log2(number) for number in numbers}
        if others:
            places[value_text(None)] = math.log2(numbers[-1]) + 1
        return places
    texts = dict.fromkeys(value_text(value) for value in [*numbers, *others])
    return {text: float(index) for index, text in enumerate(texts)}


def _reading(far: float) -> list[str]:
    return [
        "<b>Every mark is one attack of its own:</b> the same anonymizer, the same people, the same chance; only the "
        "setting on the horizontal axis differs, every other setting of the attacker is equal along a curve.",
        f"<b>Height</b> is the share of same-person pairs that the attacker's worst comparison recognizes when {far:g} "
        "of the different-person pairs are accepted by mistake. Bars are 95 % intervals over people.",
        "<b>Dashed lines</b> are attackers that learn nothing, in the colour of their anonymizer. What lies above them "
        "is what learning recovers. <b>The grey band</b> is what guessing reaches.",
        "<b>A curve that still rises at its right end</b> says that a stronger attacker would recognize more.",
        "These trials are no points of a frontier and can never be picked: each was judged by one attacker only.",
    ]


def _table(points: Sequence[RobustnessPoint], far: float) -> str:
    settings = list(dict.fromkeys(name for curve in robustness_curves(points) for name in [curve.setting]))
    headings = ["anonymizer", "attacker", *settings, f"TAR at FAR {far:g}", "chance to", "A1 naive", "A3 parrot"]
    headings += ["worst comparison", "trial"]
    body = []
    for point in points:
        strength = [value_text(point.strength[name]) if name in point.strength else "–" for name in settings]
        references = [point.references.get(name) for name in DASHES]
        cells = [
            *(escape(text) for text in (point.anonymizer, point.attacker, *strength)),
            f"{point.leak.value:.2f} <span>[{point.leak.low:.2f}, {point.leak.high:.2f}]</span>",
            f"{point.floor_95:.3f}",
            *("–" if reference is None else f"{reference.value:.2f}" for reference in references),
            escape(point.comparison),
            str(point.trial),
        ]
        body.append(cells)
    return html_table(headings, body)
