"""The frame of a page that compares trials which are no points of a frontier: figure, reading help, table."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from veil.frontier.figures import embed


def framed_page(
    subject: str,
    study: str,
    lead: str,
    height: int,
    figure: tuple[str, go.Figure],
    reading: Sequence[str],
    table: tuple[str, str],
    invalid: Mapping[str, str],
) -> str:
    """Self-contained HTML; it needs no network and no other file.

    Args:
        subject: what the page shows, in a word.
        study: name of the study.
        lead: one sentence below the name.
        height: of the figure, in pixels.
        figure: heading and figure.
        reading: how to read it, as HTML.
        table: heading and table, as HTML.
        invalid: reasons by name of the trials that are not valid.
    """
    template = Template(files("veil.frontier").joinpath("frame.html").read_text(encoding="utf-8"))
    return template.substitute(
        subject=escape(subject),
        study=escape(study),
        lead=escape(lead),
        plotly_js=get_plotlyjs(),
        height=height,
        figure_heading=escape(figure[0]),
        figure=embed(figure[1], subject),
        reading="".join(f"<li>{item}</li>" for item in reading),
        table_heading=escape(table[0]),
        table=table[1],
        invalid=_invalid(invalid),
    )


def html_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """HTML of a table.

    Args:
        headings: as text.
        rows: cells as HTML.
    """
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _invalid(invalid: Mapping[str, str]) -> str:
    if not invalid:
        return ""
    rows = "".join(f"<li><b>{escape(name)}</b>: {escape(reason)}</li>" for name, reason in invalid.items())
    return (
        f"<section><h2>Invalid trials ({len(invalid)})</h2><p>What could not be measured is no evidence of privacy: it "
        f"is named here and drawn nowhere.</p><ul>{rows}</ul></section>"
    )
