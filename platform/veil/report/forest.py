"""The differences that a study rests on, as a forest plot."""

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from html import escape

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from veil.frontier.figures import COLOURS, MUTED, common_layout
from veil.report.findings import EQUAL, LEVEL, Row, Section, difference_text, value_text

ROW_PIXELS = 20
MOST_ROWS = 40
"""Lines of one plot, so that it fits on a printed page."""
LABEL_PIXELS = 6.0
LONGEST_LABEL = 40


def forest_figures(sections: Sequence[Section]) -> list[go.Figure]:
    """As many plots as it takes to show all differences, each with its height."""
    lines = [row for _, row in compared(sections)]
    figures = []
    for start in range(0, len(lines), MOST_ROWS):
        shown = {id(row) for row in lines[start : start + MOST_ROWS]}
        parts = [replace(item, rows=tuple(row for row in item.rows if id(row) in shown)) for item in sections]
        figures.append(forest_figure(parts).update_layout(height=ROW_PIXELS * max(4, len(shown)) + 110))
    return figures


def forest_figure(sections: Sequence[Section]) -> go.Figure:
    """One panel a quantity, one line a difference, in the order of the rows, one colour a section."""
    quantities = list(dict.fromkeys(name for section in sections for name in section.quantities))
    rows = compared(sections)
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


def compared(sections: Sequence[Section]) -> list[tuple[Section, Row]]:
    """Rows that differ from a reference, each with its section: the lines of the plot."""
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
