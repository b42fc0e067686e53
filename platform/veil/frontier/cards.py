"""What the frontier page shows beside its marks: the key of colours and symbols, and a card of each trial."""

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from PIL import Image

from veil.frontier.dominance import Standing
from veil.frontier.figures import SYMBOLS, conditioning_symbols, family_colours
from veil.frontier.points import FrontierPoint
from veil.frontier.table import ARROWS, EXTRA_HEADINGS, MARKS
from veil.objectives import Objective

STANDINGS: dict[Standing, str] = {
    "frontier": "on the frontier",
    "tie": "off the frontier by no more than noise",
    "beaten": "",
}
PICTURE_ROWS = ("original", "condition", "anonymized")
_HEADINGS = EXTRA_HEADINGS | {"floor_mean": "chance, mean", "floor_95": "chance, 95 %"}


def key(rows: Sequence[tuple[FrontierPoint, Standing]]) -> str:
    """HTML of the key: a button for each family in its colour, each conditioning with its symbol, and each standing.

    What all trials have in common has no button.

    Args:
        rows: valid trials with their standings.
    """
    points = [point for point, _ in rows]
    signs: dict[str, dict[str, str]] = {
        "family": {name: f'<i style="color:{colour}">●</i>' for name, colour in family_colours(points).items()},
        "conditioning": {name: f"<i>{SYMBOLS[symbol]}</i>" for name, symbol in conditioning_symbols(points).items()},
        "standing": {"frontier": "<i>⬤</i>", "tie": "<i>◯</i>", "beaten": '<i class="pale">●</i>'},
    }
    counts: dict[str, Counter[str]] = {
        "family": Counter(point.family for point in points),
        "conditioning": Counter(point.conditioning or "" for point in points),
        "standing": Counter(standing for _, standing in rows),
    }
    return "".join(
        f'<div class="key" role="group" aria-label="{kind}"><span>{kind}</span><div>'
        + "".join(
            _button(kind, name, sign, counts[kind][name]) for name, sign in signs[kind].items() if counts[kind][name]
        )
        + "</div></div>"
        for kind in signs
        if len(counts[kind]) > 1 or kind == "family"
    )


def _button(kind: str, name: str, sign: str, count: int) -> str:
    return (
        f'<button type="button" aria-pressed="true" data-kind="{kind}" data-name="{escape(name)}">{sign} '
        f"{escape(name or 'none')} <small>{count}</small></button>"
    )


def card(
    point: FrontierPoint, standing: Standing, objectives: Sequence[Objective], picture: bytes | None = None
) -> str:
    """HTML of a trial's card, hidden until something points at the trial.

    Args:
        point: a valid trial.
        standing: against the others.
        objectives: axes.
        picture: a few faces as WebP, one row the originals, one what the generator saw (if it did not see the pixels),
            one the results; None shows none.
    """
    measured = {f"{item.name} {ARROWS[item.direction]}": str(point.interval(item.name)) for item in objectives}
    if point.strongest:
        measured["strongest attack"] = point.strongest
    extras = {
        heading.replace("\n", " "): f"{point.extras[name]:.3f}"
        for name, heading in _HEADINGS.items()
        if name in point.extras
    }
    verdict = f"<p>{MARKS[standing]} {STANDINGS[standing]}</p>" if STANDINGS[standing] else ""
    group = point.family + (f" · {point.conditioning}" if point.conditioning else "")
    group += ", synthetic problem without faces" if point.synthetic else ""
    return (
        f'<div class="card" role="tooltip" id="card-{point.trial}" hidden><b>{escape(point.label)}</b>'
        f"<p>trial {point.trial}, {escape(group)}</p>{verdict}{_picture(picture) if picture else ''}"
        f"{_list(measured)}{_list(extras, 'extras')}</div>"
    )


def _list(lines: Mapping[str, str], name: str = "") -> str:
    rows = "".join(f"<dt>{escape(heading)}</dt><dd>{escape(value)}</dd>" for heading, value in lines.items())
    return f'<dl class="{name}">{rows}</dl>'


def _picture(picture: bytes) -> str:
    with Image.open(io.BytesIO(picture)) as image:
        width, height = image.size
    rows = PICTURE_ROWS if height > 0.8 * width else (PICTURE_ROWS[0], PICTURE_ROWS[-1])
    names = "".join(f"<span>{name}</span>" for name in rows)
    source = f"data:image/webp;base64,{base64.b64encode(picture).decode()}"
    return (
        f'<figure><figcaption>{names}</figcaption><img src="{source}" width="{width}" height="{height}" '
        f'alt="faces: {", ".join(rows)}" loading="lazy"></figure>'
    )


def pictures_note(pictures: Mapping[int, bytes], valid: int) -> str:
    """HTML of what must be known of the pictures on a page; empty without any."""
    if not pictures:
        return ""
    some = (
        "" if len(pictures) == valid else f" Of {valid} valid trials the first {len(pictures)} of the table have one."
    )
    return (
        "<b>Pictures</b> appear where you point at a mark or a row. They show people of the data set: before you pass "
        f"this page on, see whether its licence allows that, or write it with <code>--no-pictures</code>.{some}"
    )
