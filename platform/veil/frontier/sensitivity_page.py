"""Scores under each detector as one self-contained HTML file."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from veil.frontier.figures import COLOURS, common_layout
from veil.frontier.frame import framed_page, html_table
from veil.frontier.points import Interval
from veil.frontier.sensitivity import QUANTITIES, Compared, difference_text

ROW_PIXELS = 64
COLOUR_OFFSET = 0.18
"""Distance between two anonymizers in the row of one detector."""


def write_sensitivity_page(
    path: Path,
    compared: Mapping[str, Sequence[Compared]],
    study: str,
    reference: str,
    far: float,
    invalid: Mapping[str, str] | None = None,
) -> Path:
    """Write `render_sensitivity` to a file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_sensitivity(compared, study, reference, far, invalid), encoding="utf-8")
    return path


def render_sensitivity(
    compared: Mapping[str, Sequence[Compared]],
    study: str,
    reference: str,
    far: float,
    invalid: Mapping[str, str] | None = None,
) -> str:
    """HTML of a study of detectors; it needs no network and no other file.

    Args:
        compared: valid trials by anonymizer, from `compare_detectors`; may be empty.
        study: name of the study.
        reference: detector from which differences are taken.
        far: false accept rate at which TAR is read.
        invalid: reasons by name of the trials that are not valid.
    """
    detectors = _detectors(compared)
    return framed_page(
        subject="sensitivity",
        study=study,
        lead="How much of a score depends on the detector that found and aligned the faces.",
        height=ROW_PIXELS * max(2, len(detectors)) + 120,
        figure=("The same images under each detector", sensitivity_figure(compared)),
        reading=_reading(reference, far),
        table=("All detectors", _table(compared)),
        invalid=invalid or {},
    )


def _detectors(compared: Mapping[str, Sequence[Compared]]) -> list[str]:
    return list(dict.fromkeys(row.point.detector for rows in compared.values() for row in rows))


def sensitivity_figure(compared: Mapping[str, Sequence[Compared]]) -> go.Figure:
    """One panel a quantity, one row a detector, one colour an anonymizer, with intervals."""
    detectors = _detectors(compared)
    figure = make_subplots(
        rows=1, cols=len(QUANTITIES), subplot_titles=list(QUANTITIES.values()), shared_yaxes=True,
        horizontal_spacing=0.04,
    )  # fmt: skip
    for index, (anonymizer, rows) in enumerate(compared.items()):
        shift = COLOUR_OFFSET * (index - (len(compared) - 1) / 2)
        for column, quantity in enumerate(QUANTITIES, start=1):
            shown = [row for row in rows if quantity in row.point.values]
            intervals = [row.point.values[quantity] for row in shown]
            trace = go.Scatter(
                x=[interval.value for interval in intervals],
                y=[detectors.index(row.point.detector) + shift for row in shown],
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [interval.high - interval.value for interval in intervals],
                    "arrayminus": [interval.value - interval.low for interval in intervals],
                    "thickness": 1.2,
                    "width": 4,
                },
                mode="markers",
                marker={"color": COLOURS[index % len(COLOURS)], "size": 9, "line": {"color": "white", "width": 1.2}},
                name=anonymizer,
                legendgroup=anonymizer,
                showlegend=column == 1,
                customdata=[_hover(row, quantity) for row in shown],
                hovertemplate="%{customdata}<extra></extra>",
            )
            figure.add_trace(trace, row=1, col=column)
    figure.update_xaxes(range=[-0.03, 1.05], tick0=0, dtick=0.2)
    figure.update_yaxes(tickvals=list(range(len(detectors))), ticktext=detectors, autorange="reversed")
    common_layout(figure)
    figure.update_layout(
        margin={"l": 130, "r": 20, "t": 70, "b": 40},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.12, "x": 0, "font": {"size": 12}},
        hovermode="closest",
    )
    return figure


def _hover(row: Compared, quantity: str) -> str:
    point, difference = row.point, row.differences.get(quantity)
    beside = f"<br>difference {escape(difference_text(difference))}" if difference is not None else ""
    return (
        f"<b>{escape(point.anonymizer)}</b>, {escape(point.detector)}  trial {point.trial}<br>{QUANTITIES[quantity]} "
        f"{point.values[quantity]}{beside}<br>{point.found} of {point.images} images scored"
    )


def _reading(reference: str, far: float) -> list[str]:
    return [
        "<b>Every mark is one anonymizer on the same photographs</b>, found and aligned by another detector. "
        f"Differences are taken from <b>{escape(reference)}</b> and paired by person; what makes a person easy or hard "
        "cancels in them.",
        f"<b>A0 control</b> and <b>leak</b> are TARs at FAR {far:g}. A detector that lowers the control aligns "
        "worse: a lower leak beside it is not the anonymizer's merit.",
        "<b>Found</b> counts images that were scored. A face that a detector misses is neither private nor leaked.",
        "<b>+jitter</b> marks a detector whose points were moved on purpose, to show what careless alignment does.",
        "These trials are no points of a frontier and can never be picked: crops of different detectors never mix.",
    ]


def _table(compared: Mapping[str, Sequence[Compared]]) -> str:
    headings = ["anonymizer", "detector", "found"]
    for heading in QUANTITIES.values():
        headings += [heading, "difference"]
    body = []
    for rows in compared.values():
        for row in rows:
            point = row.point
            cells = [escape(point.anonymizer), escape(point.detector), f"{point.found} of {point.images}"]
            for quantity in QUANTITIES:
                cells += [_value(point.values.get(quantity)), difference_text(row.differences.get(quantity))]
            body.append([*cells, str(point.trial)])
    return html_table([*headings, "trial"], body)


def _value(interval: Interval | None) -> str:
    if interval is None:
        return "–"
    return f"{interval.value:.2f} <span>[{interval.low:.2f}, {interval.high:.2f}]</span>"
