"""An attack as one self-contained HTML file: verdict, figures, table and what the numbers rest on."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from plotly.offline import get_plotlyjs

from veil.attacking.card import (
    HEADINGS,
    cautions,
    false_accepts,
    ladder_order,
    naive_tar,
    objective_lines,
    percent,
    rung_cells,
    strongest_rung,
    verdict,
)
from veil.attacking.figures import cmc_plot, ladder_plot, roc_plot
from veil.frontier.page import embed
from veil.protocol.measurement import RocCurve
from veil.protocol.score import RungScore, TrialScore


def render_page(
    score: TrialScore,
    curves: Mapping[str, RocCurve],
    cmc: Mapping[str, NDArray[np.float64]],
    far: float,
    label: str,
    notes: Sequence[str],
    faces: Mapping[str, NDArray[np.uint8]] | None = None,
) -> str:
    """HTML of an attack; it needs no network and no other file.

    Args:
        score: the score card.
        curves: ROC by "recognizer/rung".
        cmc: (n,) share of probes whose person is among the k best, k = 1..n, by "recognizer/rung".
        far: false accept rate at which TAR is read.
        label: what was attacked.
        notes: sentences that a reader must know.
        faces: rows of example faces, each uint8 (n, 3, 112, 112), by the name of the row; None shows no face.
    """
    template = Template(files("veil.attacking").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        label=escape(label),
        plotly_js=get_plotlyjs(),
        verdict=_verdict(score, far),
        tiles=_tiles(score, far),
        remarks="".join(f"<li>{escape(remark)}</li>" for remark in (*notes, *cautions(score))),
        figures=_figures(score.rungs, curves, cmc, far),
        table=_table(score),
        faces=_faces(faces) if faces else "",
        provenance=_provenance(score),
    )


def _verdict(score: TrialScore, far: float) -> str:
    if not score.valid:
        return f'<p class="invalid"><b>No valid score.</b> {escape(str(score.reason))}</p>'
    lines = "".join(f"<li>{escape(line)}</li>" for line in objective_lines(score))
    return f'<p class="sentence">{escape(verdict(score, far))}</p><ul>{lines}</ul>'


def _tiles(score: TrialScore, far: float) -> str:
    if not score.valid:
        return ""
    leak, strongest, naive = score.objectives["leak"], strongest_rung(score), naive_tar(score)
    assert score.leak_floor_mean is not None
    tiles = [
        ("leak", f"{leak.value:.2f}", f"[{leak.low:.2f}, {leak.high:.2f}], TAR at {false_accepts(far)}"),
        ("strongest attack", strongest.rung, f"{strongest.name}, {strongest.recognizer}"),
        ("chance", percent(score.leak_floor_mean), "largest TAR of all rungs under permuted labels"),
        ("naive look-up", "–" if naive is None else f"{naive:.2f}", "A1: what an attacker who learns nothing finds"),
        ("people under attack", str(strongest.n_identities), f"{score.n_images} images"),
    ]
    if score.recovery_gap is not None:
        gap = score.recovery_gap
        tiles.insert(3, ("recovery gap", f"{gap.value:+.2f}", f"[{gap.low:.2f}, {gap.high:.2f}], learned from images"))
    if score.detection is not None:
        tiles.append(
            ("faces found", percent(score.detection.anonymized), f"of the originals {percent(score.detection.clear)}")
        )
    return "".join(
        f'<div class="tile"><span class="name">{name}</span><span class="number">{escape(number)}</span>'
        f'<span class="note">{escape(note)}</span></div>'
        for name, number, note in tiles
    )


def _figures(
    rungs: Sequence[RungScore],
    curves: Mapping[str, RocCurve],
    cmc: Mapping[str, NDArray[np.float64]],
    far: float,
) -> str:
    if not rungs:
        return ""
    roc = embed(roc_plot(rungs, curves, far), "roc")
    ranks = embed(cmc_plot(rungs, cmc), "cmc")
    return (
        f"<section><h2>The ladder</h2>{embed(ladder_plot(rungs), 'ladder')}</section>"
        '<div class="pair">'
        f'<section><h2>ROC, the best way of each attacker</h2><div class="plot">{roc}</div></section>'
        f'<section><h2>CMC, the best way of each attacker</h2><div class="plot">{ranks}</div></section>'
        "</div>"
    )


def _table(score: TrialScore) -> str:
    strongest = strongest_rung(score) if score.valid else None
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in HEADINGS)
    body = "".join(
        f'<tr class="{"strongest" if rung is strongest else ""}">'
        + "".join(f"<td>{escape(cell)}</td>" for cell in rung_cells(rung))
        + "</tr>"
        for rung in ladder_order(score.rungs)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _faces(rows: Mapping[str, NDArray[np.uint8]]) -> str:
    body = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(f'<td><img alt="{escape(name)} face" src="{_png(image)}"></td>' for image in images)
        + "</tr>"
        for name, images in rows.items()
    )
    return f'<section><h2>Examples</h2><div class="scroll"><table class="faces">{body}</table></div></section>'


def _png(image: NDArray[np.uint8]) -> str:
    content = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def _provenance(score: TrialScore) -> str:
    rows = {
        "attack suite": score.suite_hash,
        "faces": score.data_hash,
        "crop contract": score.contract_hash,
        **{f"weights of {role.replace('/', ' ', 1)}": sha[:16] for role, sha in score.models.items()},
        **{f"seed of the {use}": str(seed) for use, seed in score.seeds.items()},
        **{f"version of {name}": version for name, version in score.versions.items()},
        **{
            f"similarity of clear and anonymized, {name}": f"{reading.cosine:.3f}"
            for name, reading in score.recognizers.items()
        },
    }
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows.items())
