"""Plotly figures of a study: the trade-off with its frontier, and the hypervolume over trials."""

import math
from collections.abc import Collection, Sequence
from html import escape
from itertools import cycle
from typing import NamedTuple

import plotly.graph_objects as go

from veil.frontier.dominance import Standing, ranked
from veil.frontier.points import FrontierPoint
from veil.frontier.table import ARROWS
from veil.objectives import Objective

COLOURS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#832db6", "#94a4a2", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
"""Ten colours that stay apart under every common colour blindness, on white and on dark: Petroff, "Accessible Color
Sequences for Data Visualization" (arXiv 2107.02270, 2021)."""

SYMBOLS = {
    "circle": "●", "square": "■", "diamond": "◆", "triangle-up": "▲", "star": "★", "cross": "✚", "hexagon": "⬢",
    "triangle-down": "▼", "x": "✖", "pentagon": "⬟", "triangle-left": "◀", "triangle-right": "▶", "hexagram": "✶",
    "bowtie": "⧓",
}  # fmt: skip
"""Plotly's names, and the characters that look like them."""

PROPOSED = "gan"
"""The family that comes first."""

INK, MUTED, GRID = "#1c2733", "#64748b", "#e8edf2"
FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
LABEL_CHARACTER_PIXELS, LABEL_LINE_PIXELS, LABEL_OFFSET_PIXELS = 6.3, 15, 16
HIGHLIGHT = {"symbol": "circle-open", "size": 22, "color": MUTED, "line": {"color": MUTED, "width": 2}}
MOST_LABELS = 14
"""Frontiers with more points are labelled by hovering only."""


class Mark(NamedTuple):
    """How trials of one standing are drawn.

    Attributes:
        size: in pixels.
        open: whether only the outline is drawn.
        outline: width in pixels; white, but for an open mark.
        opacity: of the mark.
        bars: opacity of the 95 % intervals.
        crowded_bars: the same where there are many trials; hovering over one then shows its interval.
    """

    size: float
    open: bool
    outline: float
    opacity: float
    bars: float
    crowded_bars: float


MARKS: dict[Standing, Mark] = {
    "beaten": Mark(size=9, open=False, outline=0, opacity=0.55, bars=0.35, crowded_bars=0.0),
    "tie": Mark(size=11, open=True, outline=2.2, opacity=1.0, bars=0.35, crowded_bars=0.15),
    "frontier": Mark(size=14, open=False, outline=1, opacity=1.0, bars=0.7, crowded_bars=0.7),
}
CROWD = 20
"""Valid trials above which the intervals of all would hide the marks."""


def family_colours(points: Sequence[FrontierPoint]) -> dict[str, str]:
    """Colour of each family with a valid trial: the proposed one first, the others in alphabetical order."""
    families = {point.family for point in points if point.valid}
    order = sorted(families, key=lambda name: (name != PROPOSED, name.casefold()))
    return dict(zip(order, cycle(COLOURS)))


def conditioning_symbols(points: Sequence[FrontierPoint]) -> dict[str, str]:
    """Plotly symbol of each conditioning of a valid trial; the circle is of those without (the empty name)."""
    names = {point.conditioning or "" for point in points if point.valid}
    first, *others = SYMBOLS
    return {"": first} | dict(zip(sorted(names - {""}), cycle(others)))


def tradeoff_figure(
    points: Sequence[FrontierPoint], objectives: Sequence[Objective], ties: Collection[int] | None = None
) -> go.Figure:
    """Scatter of the first two objectives with 95 % intervals, and the frontier of all of them.

    With one objective the trial number is the horizontal axis. The stepped line, which bounds the dominated region,
    is drawn for exactly two objectives. Marks have the trial as `id`, their traces the family and the conditioning as
    `meta`, labels the trial as `name`; the last trace is empty, for the mark that a page points out.
    """
    figure = go.Figure()
    rows = ranked(points, objectives, ties)
    best = [point for point, standing in rows if standing == "frontier"]
    if len(objectives) == 2 and best:
        figure.add_traces(_staircase(best, objectives))
    colours, symbols = family_colours(points), conditioning_symbols(points)
    groups: dict[tuple[Standing, str, str], list[FrontierPoint]] = {}
    for point, standing in reversed(rows):
        groups.setdefault((standing, point.family, point.conditioning or ""), []).append(point)
    for (standing, family, conditioning), members in groups.items():
        mark, colour = MARKS[standing], colours[family]
        opacity = mark.crowded_bars if len(rows) > CROWD else mark.bars
        figure.add_trace(
            _marks(members, objectives, opacity, colour).update(
                marker={
                    "color": colour,
                    "symbol": symbols[conditioning] + ("-open" if mark.open else ""),
                    "size": mark.size,
                    "opacity": mark.opacity,
                    "line": {"color": colour if mark.open else "white", "width": mark.outline},
                },
                name=f"{family} · {conditioning}" if conditioning else family,
                meta={"family": family, "conditioning": conditioning, "standing": standing},
            )
        )
    figure.add_trace(_marks([], objectives, 1.0, MUTED).update(marker=HIGHLIGHT, hoverinfo="skip"))
    ranges = _ranges(rows, objectives)
    _layout(figure, objectives, ranges)
    if objectives[0].name == "leak" and len(objectives) > 1:
        _reference_lines(figure, [point for point, _ in rows])
    if len(best) <= MOST_LABELS and len(objectives) > 1:
        _label(figure, best, objectives, ranges)
    return figure


def history_figure(points: Sequence[FrontierPoint], history: Sequence[float]) -> go.Figure:
    """Hypervolume after each trial.

    Args:
        points: N trials.
        history: N values in order of trial numbers.
    """
    trials = sorted(point.trial for point in points)
    figure = go.Figure(
        go.Scatter(
            x=trials,
            y=list(history),
            mode="lines+markers" if len(trials) <= 60 else "lines",
            line={"shape": "hv", "color": COLOURS[0], "width": 2},
            marker={"size": 5},
            fill="tozeroy",
            fillcolor="rgba(63,144,218,0.12)",
            hovertemplate="after trial %{x}: %{y:.4f}<extra></extra>",
        )
    )
    common_layout(figure)
    figure.update_xaxes(title_text="trial", rangemode="tozero")
    figure.update_yaxes(title_text="hypervolume", rangemode="tozero")
    figure.update_layout(margin={"l": 60, "r": 16, "t": 12, "b": 48}, showlegend=False)
    return figure


def _axes(point: FrontierPoint, objectives: Sequence[Objective]) -> tuple[float, float]:
    if len(objectives) == 1:
        return point.trial, point.interval(objectives[0].name).value
    return point.interval(objectives[0].name).value, point.interval(objectives[1].name).value


def _staircase(best: Sequence[FrontierPoint], objectives: Sequence[Objective]) -> list[go.Scatter]:
    """The dominated region up to the reference point, and its outline."""
    corners = sorted(_axes(point, objectives) for point in best)
    if objectives[0].direction == "maximize":
        corners.reverse()
    reference = (objectives[0].reference, objectives[1].reference)
    outline = [(corners[0][0], reference[1])]
    for corner in (*corners, (reference[0], corners[-1][1])):
        outline += [(corner[0], outline[-1][1]), corner]
    region = go.Scatter(
        x=[x for x, _ in (*outline, reference)],
        y=[y for _, y in (*outline, reference)],
        mode="none",
        fill="toself",
        fillcolor="rgba(100,116,139,0.07)",
        hoverinfo="skip",
        showlegend=False,
    )
    line = go.Scatter(
        x=[x for x, _ in outline],
        y=[y for _, y in outline],
        mode="lines",
        line={"color": INK, "width": 1.6},
        name="frontier",
        hoverinfo="skip",
        showlegend=False,
    )
    return [region, line]


def _marks(
    members: Sequence[FrontierPoint], objectives: Sequence[Objective], bar_opacity: float, colour: str
) -> go.Scatter:
    positions = [_axes(point, objectives) for point in members]
    bars = dict(zip(("error_x", "error_y"), _error_bars(members, objectives, bar_opacity, colour), strict=True))
    return go.Scatter(
        x=[x for x, _ in positions],
        y=[y for _, y in positions],
        ids=[str(point.trial) for point in members],
        mode="markers",
        hoverinfo="none",
        cliponaxis=False,
        showlegend=False,
        **bars,
    )


def _error_bars(
    members: Sequence[FrontierPoint], objectives: Sequence[Objective], opacity: float, colour: str
) -> list[dict]:
    rgb = ",".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    style = {"type": "data", "symmetric": False, "thickness": 1.2, "width": 0, "color": f"rgba({rgb},{opacity})"}
    bars = []
    for objective in objectives[:2]:
        intervals = [point.interval(objective.name) for point in members]
        bars.append(
            style
            | {
                # A percentile interval of a skewed bootstrap need not hold the estimate; a bar has no negative length.
                "array": [max(0.0, interval.high - interval.value) for interval in intervals],
                "arrayminus": [max(0.0, interval.value - interval.low) for interval in intervals],
            }
        )
    return [{"visible": False}, *bars] if len(bars) == 1 else bars


def _label(
    figure: go.Figure,
    best: Sequence[FrontierPoint],
    objectives: Sequence[Objective],
    ranges: Sequence[tuple[float, float]],
) -> None:
    # Beyond a frontier point, on its better side, nothing can lie but other labels: they go there, each pushed away
    # from the ones before it. Pixels are estimated for the usual size of the plot, whose real size nobody knows here.
    width, height = (pixels / (high - low) for pixels, (low, high) in zip((1100, 480), ranges, strict=True))
    left = -1 if objectives[0].direction == "minimize" else 1
    up = 1 if objectives[1].direction == "maximize" else -1
    placed: list[tuple[float, float, float]] = []
    for point in sorted(best, key=lambda point: _axes(point, objectives)[1] * up):
        x, y = _axes(point, objectives)
        length = LABEL_CHARACTER_PIXELS * len(point.label)
        fits = (x - ranges[0][0]) * width > length
        anchor = x * width + (LABEL_OFFSET_PIXELS if not fits else -LABEL_OFFSET_PIXELS) * -left
        near, far = (anchor - length, anchor) if fits == (left < 0) else (anchor, anchor + length)
        level = y * height * up + LABEL_OFFSET_PIXELS
        for other_near, other_far, other_level in placed:
            if near < other_far and other_near < far:
                level = max(level, other_level + LABEL_LINE_PIXELS)
        placed.append((near, far, level))
        figure.add_annotation(
            x=x,
            y=y,
            text=escape(point.label),
            name=str(point.trial),
            ax=LABEL_OFFSET_PIXELS * (left if fits else -left),
            ay=-(level - y * height * up) * up,
            xanchor="right" if fits == (left < 0) else "left",
            showarrow=True,
            arrowhead=0,
            arrowwidth=0.8,
            arrowcolor="#94a3b8",
            standoff=8,
            font={"size": 11.5, "color": INK},
        )


def _ranges(
    rows: Sequence[tuple[FrontierPoint, Standing]], objectives: Sequence[Objective]
) -> list[tuple[float, float]]:
    """Ends of the axes of the first two objectives: their bounds.

    The axis of a second objective that is maximised starts just below the lowest interval, so that good trials do not
    crowd at the upper edge.
    """
    ranges = [objective.bounds for objective in objectives[:2]]
    if len(ranges) == 2 and objectives[1].direction == "maximize" and rows:
        lowest = min(point.interval(objectives[1].name).low for point, _ in rows)
        ranges[1] = max(ranges[1][0], math.floor(10 * lowest) / 10), ranges[1][1]
    return ranges


def _reference_lines(figure: go.Figure, valid: Sequence[FrontierPoint]) -> None:
    """What guessing reaches, as far as labels dealt out at random show it, and what clear images give away."""

    def values(name: str) -> list[float]:
        return [point.extras[name] for point in valid if name in point.extras]

    text = {"font": {"size": 11, "color": MUTED}, "showarrow": False, "textangle": -90, "yref": "paper", "y": 0.02}
    if values("floor_mean"):
        floor = sum(values("floor_mean")) / len(values("floor_mean"))
        figure.add_vrect(x0=0, x1=max(values("floor_95")), fillcolor=MUTED, opacity=0.14, line_width=0, layer="below")
        figure.add_vline(x=floor, line={"color": MUTED, "dash": "dot", "width": 1.2})
        figure.add_annotation(
            x=max(values("floor_95")), text=f"chance floor {floor:.3f}", xanchor="left", yanchor="bottom", **text
        )
    if values("control"):
        control = min(values("control"))
        figure.add_vline(x=control, line={"color": MUTED, "dash": "dash", "width": 1.2})
        figure.add_annotation(
            x=control, text=f"A0, no anonymization {control:.3f}", xanchor="right", yanchor="bottom", **text
        )


def _layout(figure: go.Figure, objectives: Sequence[Objective], ranges: Sequence[tuple[float, float]]) -> None:
    common_layout(figure)
    figure.update_layout(margin={"l": 70, "r": 24, "t": 24, "b": 64}, hovermode="closest")
    updates = [figure.update_xaxes, figure.update_yaxes]
    if len(objectives) == 1:
        updates.pop(0)(title_text="trial")
    for objective, (low, high), update in zip(objectives[:2], ranges, updates, strict=True):
        update(title_text=f"<b>{objective.name}</b> {ARROWS[objective.direction]} {objective.unit}")
        if objective.bounds == (0.0, 1.0):
            update(range=[low - 0.03, high + 0.05], tick0=0, dtick=0.2 if high - low > 0.7 else 0.1)
    if len(objectives) > 1:
        better = [1 if objective.direction == "maximize" else -1 for objective in objectives[:2]]
        figure.add_annotation(
            text="better",
            xref="paper",
            yref="paper",
            # In the worse corner: points and their labels crowd the better one.
            x=0.5 - 0.33 * better[0],
            y=0.5 - 0.4 * better[1],
            ax=-46 * better[0],
            ay=34 * better[1],
            showarrow=True,
            arrowhead=2,
            arrowwidth=1.6,
            arrowcolor="#1a9850",
            font={"size": 13},
        )


def common_layout(figure: go.Figure) -> None:
    """Give a figure the typography, colours and axes of all of Veil's pages."""
    figure.update_layout(
        template="plotly_white",
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        autosize=True,
        modebar={"bgcolor": "rgba(255,255,255,0)", "color": "#cbd5e1", "activecolor": MUTED},
    )
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(gridcolor=GRID, zeroline=False, linecolor="#cbd5e1", showline=True, ticks="outside", tickcolor="#cbd5e1")


def embed(figure: go.Figure, name: str) -> str:
    """HTML of a figure for a page that has plotly.js inside; `name` is the id of its element."""
    return figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        default_height="100%",
        config={"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["select2d", "lasso2d"]},
    )
