"""The frontier as one self-contained HTML file: plot, hypervolume history, reading help and a sortable table."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from veil.frontier.dominance import frontier, statistical_ties
from veil.frontier.figures import history_figure, tradeoff_figure
from veil.frontier.hypervolume import hypervolume_history
from veil.frontier.points import FrontierPoint
from veil.frontier.table import ARROWS, EXTRA_HEADINGS, ordered_rows
from veil.objectives import Objective


def write_page(
    path: Path, points: Sequence[FrontierPoint], study: str, objectives: Sequence[Objective], far: float | None = None
) -> Path:
    """Write `render_page` to a file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_page(points, study, objectives, far), encoding="utf-8")
    return path


def render_page(
    points: Sequence[FrontierPoint], study: str, objectives: Sequence[Objective], far: float | None = None
) -> str:
    """HTML of a study's frontier; it needs no network and no other file.

    Args:
        points: all trials, valid or not; may be empty.
        study: name of the study.
        objectives: axes; the first two are drawn, all are listed and decide who is on the frontier.
        far: false accept rate of the leak, drawn as the chance floor; None draws none.
    """
    best = frontier(points, objectives)
    history = hypervolume_history(points, objectives)
    template = Template(files("veil.frontier").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        study=escape(study),
        plotly_js=get_plotlyjs(),
        tiles=_tiles(points, objectives, best, history),
        tradeoff=embed(tradeoff_figure(points, objectives, far), "tradeoff"),
        history=embed(history_figure(points, history), "history"),
        reading=_reading(points, objectives, far),
        table=_table(points, objectives),
        invalid=_invalid(points),
    )


def embed(figure: go.Figure, name: str) -> str:
    """HTML of a figure for a page that has plotly.js inside; `name` is the id of its element."""
    return figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        default_height="100%",
        config={"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["select2d", "lasso2d"]},
    )


def _tiles(
    points: Sequence[FrontierPoint],
    objectives: Sequence[Objective],
    best: Sequence[FrontierPoint],
    history: Sequence[float],
) -> str:
    valid = [point for point in points if point.valid]
    controls = [point.extras["control"] for point in valid if "control" in point.extras]
    tiles = [
        ("trials", str(len(points)), f"{len(points) - len(valid)} invalid"),
        ("on the frontier", str(len(best)), "no other trial is better in every objective"),
        ("hypervolume", f"{history[-1]:.3f}" if history else "–", "up to a fixed reference point"),
        (
            "groups",
            str(len(statistical_ties(points, objectives))),
            "that the 95 % intervals can tell apart",
        ),
    ]
    if controls:
        tiles.append(("lowest control TAR", f"{min(controls):.3f}", "A0: clear against clear, must be high"))
    return "".join(
        f'<div class="tile"><span class="name">{name}</span><span class="number">{number}</span>'
        f'<span class="note">{note}</span></div>'
        for name, number, note in tiles
    )


def _reading(points: Sequence[FrontierPoint], objectives: Sequence[Objective], far: float | None) -> str:
    names = {objective.name for objective in objectives}
    items = [
        "<b>Every mark is one trained or configured anonymizer.</b> Large filled marks on the stepped line are the "
        "<b>frontier</b>: no other trial is at least as good in every objective and better in one. Pale marks are "
        "beaten."
    ]
    if "leak" in names:
        floor = "" if far is None else f" The dotted line at {far:g} is what guessing reaches."
        items.append(
            "<b>Leak</b> is the true accept rate of the strongest attack of the suite, attackers retrained on "
            f"anonymized faces included: 0 hides everybody, 1 hides nobody.{floor}"
        )
    if "utility" in names:
        items.append(
            "<b>Utility</b> says how much of the expression survives: 1 means that an independent expression "
            "classifier sees the same in both images."
        )
    items.append(
        "<b>Bars are 95 % intervals</b> from resampling people. Where bars overlap, the order of two trials may be "
        "chance; do not read a winner into it."
    )
    if any("proxy_cosine" in point.extras for point in points):
        items.append(
            "<b>Proxy cosine</b> is how alike the faces look to the recognizer inside the training loss. Low there "
            "with a high leak means that the generator fooled its own loss and nobody else."
        )
    items.append(
        "<b>Hypervolume</b> is the area that the frontier dominates. Its reference point is fixed, so studies compare."
    )
    return "".join(f"<li>{item}</li>" for item in items)


def _table(points: Sequence[FrontierPoint], objectives: Sequence[Objective]) -> str:
    extras = [name for name in EXTRA_HEADINGS if any(name in point.extras for point in points)]
    headings = [
        "",
        "trial",
        "method",
        "family",
        "conditioning",
        *(f"{objective.name} {ARROWS[objective.direction]}" for objective in objectives),
        "strongest attack",
        *(EXTRA_HEADINGS[name].replace("\n", " ") for name in extras),
    ]
    head = "".join(f'<th scope="col"><button type="button">{escape(heading)}</button></th>' for heading in headings)
    body = []
    for point, on_frontier in ordered_rows(points, objectives):
        label = escape(point.label) + (' <span class="tag">synthetic</span>' if point.synthetic else "")
        cells = [
            _cell("★" if on_frontier else "", 0 if on_frontier else 1),
            _cell(str(point.trial), point.trial),
            f'<td class="method">{label}</td>',
            f"<td>{escape(point.family)}</td>",
            f"<td>{escape(point.conditioning or '–')}</td>",
        ]
        for objective in objectives:
            interval = point.interval(objective.name)
            bounds = "" if interval.low == interval.high else f"[{interval.low:.2f}, {interval.high:.2f}]"
            cells.append(
                f'<td class="value" data-sort="{interval.value}">{interval.value:.2f} <span>{bounds}</span></td>'
            )
        cells.append(f"<td>{escape(point.strongest or '–')}</td>")
        cells += [
            _cell(f"{point.extras[name]:.2f}", point.extras[name]) if name in point.extras else "<td>–</td>"
            for name in extras
        ]
        body.append(f'<tr class="{"frontier" if on_frontier else ""}">{"".join(cells)}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _cell(text: str, order: float) -> str:
    return f'<td class="number" data-sort="{order}">{text}</td>'


def _invalid(points: Sequence[FrontierPoint]) -> str:
    invalid = sorted((point for point in points if not point.valid), key=lambda point: point.trial)
    if not invalid:
        return ""
    rows = "".join(
        f"<li><b>trial {point.trial}</b> {escape(point.label)}: {escape(point.reason or '')}</li>" for point in invalid
    )
    return (
        f"<section><h2>Invalid trials ({len(invalid)})</h2><p>They are counted, never drawn and never picked: their "
        f'numbers would not mean what they say.</p><ul class="invalid">{rows}</ul></section>'
    )
