"""What a study found out, as one self-contained HTML file with a forest plot of the differences."""

import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from veil.frontier.figures import COLOURS, MUTED, common_layout
from veil.frontier.frame import framed_page, html_table
from veil.report.findings import EQUAL, LEVEL, Row, Section, difference_text, value_text

ROW_PIXELS = 30
LABEL_PIXELS = 7.0
LONGEST_LABEL = 60


def write_findings_page(
    path: Path, sections: Sequence[Section], study: str, lead: str, invalid: Mapping[str, str]
) -> Path:
    """Write `render_findings` to a file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_findings(sections, study, lead, invalid), encoding="utf-8")
    return path


def render_findings(sections: Sequence[Section], study: str, lead: str, invalid: Mapping[str, str]) -> str:
    """HTML of a study's report; it needs no network and no other file.

    Args:
        sections: in order.
        study: name of the study.
        lead: one sentence below the name.
        invalid: reasons by name of the trials that are not valid.
    """
    notes = dict.fromkeys(note for section in sections for note in section.notes)
    return framed_page(
        subject="report",
        study=study,
        lead=lead,
        answers=[escape(sentence) for section in sections for sentence in section.sentences],
        height=ROW_PIXELS * max(3, len(_compared(sections))) + 110,
        figure=("Differences from the reference", forest_figure(sections)),
        reading=[
            "<b>Every line is a difference</b> with its 95 % interval; the dotted line at 0 is no difference. Filled "
            f"marks stay significant at {LEVEL:g} after correction for the number of comparisons. A grey band, "
            f"±{EQUAL:g}, is what counts as equal leak.",
            *map(escape, notes),
        ],
        table=("All groups", "".join(f"<h3>{escape(item.heading)}</h3>{_table(item)}" for item in sections)),
        invalid=invalid,
    )


def forest_figure(sections: Sequence[Section]) -> go.Figure:
    """One panel a quantity, one line a difference, in the order of the rows, one colour a section."""
    quantities = list(dict.fromkeys(name for section in sections for name in section.quantities))
    rows = _compared(sections)
    figure = make_subplots(
        rows=1, cols=max(1, len(quantities)), subplot_titles=quantities, shared_yaxes=True, horizontal_spacing=0.04
    )
    for column, quantity in enumerate(quantities, start=1):
        for index, section in enumerate(sections):
            shown = [(place, row) for place, (owner, row) in enumerate(rows)
                     if owner is section and quantity in row.differences]  # fmt: skip
            if shown:
                figure.add_trace(_marks(shown, quantity, COLOURS[index % len(COLOURS)]), row=1, col=column)
        if quantity == "leak":
            figure.add_vrect(x0=-EQUAL, x1=EQUAL, fillcolor=MUTED, opacity=0.12, line_width=0, row=1, col=column)
        figure.add_vline(x=0, line={"color": MUTED, "dash": "dot", "width": 1.2}, row=1, col=column)
    labels = [escape(textwrap.shorten(row.name, LONGEST_LABEL, placeholder=" …")) for _, row in rows]
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=labels, range=[len(rows) - 0.4, -0.6], autorange=False
    )
    common_layout(figure)
    left = 40 + LABEL_PIXELS * max(map(len, labels), default=0)
    figure.update_layout(margin={"l": left, "r": 20, "t": 50, "b": 40}, showlegend=False, hovermode="closest")
    return figure


def _compared(sections: Sequence[Section]) -> list[tuple[Section, Row]]:
    return [(section, row) for section in sections for row in section.rows if row.differences]


def _marks(shown: Sequence[tuple[int, Row]], quantity: str, colour: str) -> go.Scatter:
    found = [row.differences[quantity] for _, row in shown]
    significant = [row.p_values.get(quantity, row.differences[quantity].p_value) <= LEVEL for _, row in shown]
    return go.Scatter(
        x=[difference.value for difference in found],
        y=[place for place, _ in shown],
        error_x={
            "type": "data",
            "symmetric": False,
            # A percentile interval of a skewed bootstrap need not hold the estimate; a bar has no negative length.
            "array": [max(0.0, difference.high - difference.value) for difference in found],
            "arrayminus": [max(0.0, difference.value - difference.low) for difference in found],
            "thickness": 1.4,
            "width": 4,
        },
        mode="markers",
        marker={
            "size": 10,
            "symbol": ["circle" if mark else "circle-open" for mark in significant],
            "color": colour,
            "line": {"color": colour, "width": 1.6},
        },
        customdata=[
            "<br>".join(
                (f"<b>{escape(row.name)}</b>", escape(row.beside), f"{quantity} {value_text(row, quantity)}",
                 f"difference {difference_text(row, quantity)}", f"trials {', '.join(map(str, row.trials))}")
            )
            for _, row in shown
        ],
        hovertemplate="%{customdata}<extra></extra>",
        cliponaxis=False,
    )  # fmt: skip


def _table(section: Section) -> str:
    headings = ["what", "beside"]
    for quantity in section.quantities:
        headings += [quantity, "difference, p (Holm)"]
    rows = []
    for row in section.rows:
        cells = [escape(row.name), escape(row.beside)]
        for quantity in section.quantities:
            cells += [_with_bounds(value_text(row, quantity)), escape(difference_text(row, quantity)) or "–"]
        rows.append([*cells, ", ".join(map(str, row.trials))])
    return html_table([*headings, "trials"], rows)


def _with_bounds(text: str) -> str:
    value, _, bounds = text.partition(" ")
    return f"{value} <span>{bounds}</span>" if bounds else value
