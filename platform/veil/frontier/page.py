"""The frontier as one self-contained HTML file: plot, hypervolume history, reading help and a sortable table."""

from collections.abc import Collection, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from plotly.offline import get_plotlyjs

from veil.atomic import replace_when_complete
from veil.frontier.cards import STANDINGS, card, key, pictures_note
from veil.frontier.dominance import Standing, ranked
from veil.frontier.figures import embed, history_figure, tradeoff_figure
from veil.frontier.hypervolume import hypervolume_history
from veil.frontier.importance import Importance
from veil.frontier.panels import settings_section
from veil.frontier.points import FrontierPoint
from veil.frontier.stopping import Savings
from veil.frontier.table import ARROWS, EXTRA_HEADINGS, MARKS
from veil.objectives import Objective

MOST_PICTURES = 150
"""Trials with a picture on a page, so that the page of a thousand trials can still be sent around."""


def write_page(
    path: Path,
    points: Sequence[FrontierPoint],
    study: str,
    objectives: Sequence[Objective],
    ties: Collection[int] | None = None,
    pictures: Mapping[int, bytes] | None = None,
    importance: Sequence[Importance] = (),
    savings: Savings | None = None,
) -> Path:
    """Write `render_page` to a file, whole or not at all, and return its path.

    Raises:
        DataError: the folder cannot be written.
    """
    page = render_page(points, study, objectives, ties, pictures, importance, savings)
    with replace_when_complete(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def render_page(
    points: Sequence[FrontierPoint],
    study: str,
    objectives: Sequence[Objective],
    ties: Collection[int] | None = None,
    pictures: Mapping[int, bytes] | None = None,
    importance: Sequence[Importance] = (),
    savings: Savings | None = None,
) -> str:
    """HTML of a study's frontier; it needs no network and no other file.

    Args:
        points: all trials, valid or not; may be empty.
        study: name of the study.
        objectives: axes; the first two are drawn, all are listed and decide who is on the frontier.
        ties: numbers of the trials that tie with the frontier; None where that is not known.
        pictures: a few faces as WebP by trial; None shows none. The first `MOST_PICTURES` in the order of the table
            are kept.
        importance: of the settings of methods.
        savings: what early stopping did; None without it.
    """
    rows = ranked(points, objectives, ties)
    history = hypervolume_history(points, objectives)
    held = [point.trial for point, _ in rows if point.trial in (pictures or {})]
    kept = {trial: (pictures or {})[trial] for trial in held[:MOST_PICTURES]}
    template = Template(files("veil.frontier").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        study=escape(study),
        plotly_js=get_plotlyjs(),
        tiles=_tiles(points, rows, ties, history, savings),
        key=key(rows),
        tradeoff=embed(tradeoff_figure(points, objectives, ties), "tradeoff"),
        history=embed(history_figure(points, history), "history"),
        settings=settings_section(rows, objectives, importance),
        reading=_reading(rows, objectives, ties, kept),
        table=_table(rows, objectives),
        cards="".join(card(point, standing, objectives, kept.get(point.trial)) for point, standing in rows),
        invalid=_stopped(points, savings) + _invalid(points),
    )


def _tiles(
    points: Sequence[FrontierPoint],
    rows: Sequence[tuple[FrontierPoint, Standing]],
    ties: Collection[int] | None,
    history: Sequence[float],
    savings: Savings | None,
) -> str:
    controls = [point.extras["control"] for point, _ in rows if "control" in point.extras]
    best = sum(standing == "frontier" for _, standing in rows)
    tiles = [
        ("trials", str(len(points)), f"{sum(not point.valid and not point.stopped for point in points)} invalid"),
        (f"on the frontier {MARKS['frontier']}", str(best), "no other trial is better in every objective"),
        ("hypervolume", f"{history[-1]:.3f}" if history else "–", "up to a fixed reference point"),
    ]
    if ties is not None:
        tiles.insert(2, (f"ties {MARKS['tie']}", str(len(ties)), STANDINGS["tie"]))
    if savings is not None:
        stopped = sum(savings.stopped.values())
        tiles.append(("stopped early ■", str(stopped), f"{savings.saved:.0%} of the training images saved"))
    if controls:
        tiles.append(("lowest control TAR", f"{min(controls):.3f}", "A0: clear against clear, must be high"))
    return "".join(
        f'<div class="tile"><span class="name">{name}</span><span class="number">{number}</span>'
        f'<span class="note">{note}</span></div>'
        for name, number, note in tiles
    )


def _reading(
    rows: Sequence[tuple[FrontierPoint, Standing]],
    objectives: Sequence[Objective],
    ties: Collection[int] | None,
    pictures: Mapping[int, bytes],
) -> str:
    names = {objective.name for objective in objectives}
    points = [point for point, _ in rows]
    items = [
        "<b>Every mark is one trained or configured anonymizer.</b> Large marks on the stepped line are the "
        "<b>frontier</b>: no other trial is at least as good in every objective and better in one. Pale marks are "
        "beaten. Click an entry of the key to hide it, with Shift to see it alone."
    ]
    if ties is not None:
        items.append(
            f"<b>Hollow marks tie ({MARKS['tie']}) with the frontier:</b> no frontier trial is significantly better in "
            "one objective without being significantly worse in another. Differences are taken person by person and "
            "corrected for the number of trials, as <code>veil frontier STUDY --against TRIAL</code> lists them."
        )
    if "leak" in names:
        floor = " In the grey band at the left it is what guessing reaches, measured by dealing out names at random."
        items.append(
            "<b>Leak</b> is the true accept rate of the strongest attack of the suite, attackers retrained on "
            "anonymized faces included: 0 hides everybody, 1 hides nobody."
            + (floor if any("floor_95" in point.extras for point in points) else "")
        )
    if "utility" in names:
        items.append(
            "<b>Utility</b> says how much of the expression survives: 1 means that an independent expression "
            "classifier sees the same in both images."
        )
    if any(interval.low < interval.high for point in points for interval in map(point.interval, names)):
        items.append(
            "<b>Bars are 95 % intervals</b> over people. In a study of many trials those of the beaten show when you "
            "point at them. Overlapping bars do not mean a tie: people who are hard for one anonymizer are mostly hard "
            "for the other."
        )
    if note := pictures_note(pictures, len(rows)):
        items.append(note)
    if any("proxy_cosine" in point.extras for point in points):
        items.append(
            "<b>Proxy cosine</b> is how alike the faces look to the recognizer inside the training loss. Low there "
            "with a high leak means that the generator fooled its own loss and nobody else."
        )
    items.append(
        "<b>Hypervolume</b> is the area that the frontier dominates. Its reference point is fixed, so studies compare."
    )
    return "".join(f"<li>{item}</li>" for item in items)


def _table(rows: Sequence[tuple[FrontierPoint, Standing]], objectives: Sequence[Objective]) -> str:
    extras = [name for name in EXTRA_HEADINGS if any(name in point.extras for point, _ in rows)]
    headings = [
        "standing",
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
    for place, (point, standing) in enumerate(rows):
        label = escape(point.label) + (' <span class="tag">synthetic</span>' if point.synthetic else "")
        cells = [
            _cell(f'<span title="{STANDINGS[standing]}">{MARKS[standing]}</span>', place),
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
        body.append(
            f'<tr class="{standing}" tabindex="0" aria-describedby="card-{point.trial}" data-trial="{point.trial}" '
            f'data-standing="{standing}" '
            f'data-family="{escape(point.family)}" data-conditioning="{escape(point.conditioning or "")}">'
            f"{''.join(cells)}</tr>"
        )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _cell(text: str, order: float) -> str:
    return f'<td class="number" data-sort="{order}">{text}</td>'


def _stopped(points: Sequence[FrontierPoint], savings: Savings | None) -> str:
    if savings is None:
        return ""
    stopped = sorted((point for point in points if point.stopped), key=lambda point: point.trial)
    rows = "".join(
        f"<li><b>trial {point.trial}</b> {escape(point.label)}: {escape(point.reason or '')}</li>" for point in stopped
    )
    return (
        f"<section><h2>Trials stopped early ({len(stopped)})</h2><p>{escape(savings.sentence)} Stopped trials have no "
        f'score, are never drawn and never picked.</p><ul class="stopped">{rows}</ul></section>'
    )


def _invalid(points: Sequence[FrontierPoint]) -> str:
    invalid = sorted(
        (point for point in points if not point.valid and not point.stopped), key=lambda point: point.trial
    )
    if not invalid:
        return ""
    rows = "".join(
        f"<li><b>trial {point.trial}</b> {escape(point.label)}: {escape(point.reason or '')}</li>" for point in invalid
    )
    return (
        f"<section><h2>Invalid trials ({len(invalid)})</h2><p>They are counted, never drawn and never picked: their "
        f'numbers would not mean what they say.</p><ul class="invalid">{rows}</ul></section>'
    )
