"""Plotly figures of a study: the trade-off with its frontier, and the hypervolume over trials."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from veil.frontier.dominance import frontier
from veil.frontier.points import FrontierPoint
from veil.frontier.table import ARROWS, EXTRA_HEADINGS
from veil.objectives import Objective

# Okabe and Ito's palette stays apart under every common colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "star", "cross", "hexagon", "triangle-down")
INK, MUTED, GRID = "#1c2733", "#64748b", "#e8edf2"
FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
LABEL_CHARACTER_PIXELS, LABEL_LINE_PIXELS, LABEL_OFFSET_PIXELS = 6.3, 15, 16
MOST_LABELS = 14
"""Frontiers with more points are labelled by hovering only."""


def tradeoff_figure(points: Sequence[FrontierPoint], objectives: Sequence[Objective], far: float | None) -> go.Figure:
    """Scatter of the first two objectives with 95 % intervals, and the frontier of all of them.

    With one objective the trial number is the horizontal axis. The stepped line, which bounds the dominated region,
    is drawn for exactly two objectives.
    """
    figure = go.Figure()
    best = frontier(points, objectives)
    on_frontier = {point.trial for point in best}
    valid = [point for point in points if point.valid]
    if len(objectives) == 2 and best:
        figure.add_traces(_staircase(best, objectives))
    families = sorted({point.family for point in valid})
    groups = sorted({(point.family, point.conditioning or "") for point in valid})
    conditionings = [conditioning for _, conditioning in groups]
    symbols = {name: SYMBOLS[i % len(SYMBOLS)] for i, name in enumerate(sorted(set(conditionings)))}
    for family, conditioning in groups:
        members = [p for p in valid if p.family == family and (p.conditioning or "") == conditioning]
        colour = COLOURS[families.index(family) % len(COLOURS)]
        name = f"{family} · {conditioning}" if conditioning else family
        figure.add_trace(_marks(members, objectives, on_frontier, colour, symbols[conditioning], name))
    if len(best) <= MOST_LABELS and len(objectives) > 1:
        _label(figure, best, objectives)
    if objectives[0].name == "leak" and len(objectives) > 1:
        _reference_lines(figure, valid, far)
    _layout(figure, objectives)
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
            fillcolor="rgba(0,114,178,0.10)",
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
        fillcolor="rgba(28,39,51,0.04)",
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
        legendrank=1,
    )
    return [region, line]


def _marks(
    members: Sequence[FrontierPoint],
    objectives: Sequence[Objective],
    on_frontier: set[int],
    colour: str,
    symbol: str,
    name: str,
) -> go.Scatter:
    marked = [point.trial in on_frontier for point in members]
    positions = [_axes(point, objectives) for point in members]
    bars = dict(zip(("error_x", "error_y"), _error_bars(members, objectives, colour), strict=True))
    return go.Scatter(
        x=[x for x, _ in positions],
        y=[y for _, y in positions],
        mode="markers",
        name=name,
        marker={
            "color": colour,
            "symbol": symbol,
            "size": [14 if mark else 9 for mark in marked],
            "opacity": [1.0 if mark else 0.45 for mark in marked],
            "line": {"color": "white", "width": 1.2},
        },
        customdata=[_hover(point, objectives, mark) for point, mark in zip(members, marked, strict=True)],
        hovertemplate="%{customdata}<extra></extra>",
        cliponaxis=False,
        **bars,
    )


def _error_bars(members: Sequence[FrontierPoint], objectives: Sequence[Objective], colour: str) -> list[dict]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    style = {"type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": f"rgba({red},{green},{blue},0.4)"}
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


def _hover(point: FrontierPoint, objectives: Sequence[Objective], on_frontier: bool) -> str:
    lines = [f"<b>{escape(point.label)}</b>  trial {point.trial}{'  ★ frontier' if on_frontier else ''}"]
    lines.append(escape(point.family + (f" · {point.conditioning}" if point.conditioning else "")))
    if point.synthetic:
        lines.append("synthetic problem, no faces")
    for objective in objectives:
        interval = point.interval(objective.name)
        lines.append(f"{objective.name} {ARROWS[objective.direction]}  <b>{interval}</b>")
    if point.strongest:
        lines.append(f"strongest attack: {escape(point.strongest)}")
    for name, value in point.extras.items():
        lines.append(f"{escape(EXTRA_HEADINGS.get(name, name)).replace(chr(10), ' ')}: {value:.3f}")
    return "<br>".join(lines)


def _label(figure: go.Figure, best: Sequence[FrontierPoint], objectives: Sequence[Objective]) -> None:
    # Beyond a frontier point, on its better side, nothing can lie but other labels: they go there, each pushed away
    # from the ones before it. Pixels are estimated for the usual size of the plot, whose real size nobody knows here.
    width, height = 1100 / _span(objectives[0]), 480 / _span(objectives[1])
    left = -1 if objectives[0].direction == "minimize" else 1
    up = 1 if objectives[1].direction == "maximize" else -1
    placed: list[tuple[float, float, float]] = []
    for point in sorted(best, key=lambda point: _axes(point, objectives)[1] * up):
        x, y = _axes(point, objectives)
        length = LABEL_CHARACTER_PIXELS * len(point.label)
        fits = (x - objectives[0].bounds[0]) * width > length
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


def _span(objective: Objective) -> float:
    return objective.bounds[1] - objective.bounds[0]


def _reference_lines(figure: go.Figure, valid: Sequence[FrontierPoint], far: float | None) -> None:
    style = {"font": {"size": 11, "color": MUTED}, "showarrow": False, "textangle": -90, "yref": "paper"}
    if far is not None:
        figure.add_vline(x=far, line={"color": MUTED, "dash": "dot", "width": 1})
        figure.add_annotation(
            x=far, y=0.02, text=f"chance floor {far:g}", xanchor="left", yanchor="bottom", xshift=2, **style
        )
    controls = [point.extras["control"] for point in valid if "control" in point.extras]
    if controls:
        control = min(controls)
        figure.add_vline(x=control, line={"color": MUTED, "dash": "dash", "width": 1})
        figure.add_annotation(
            x=control, y=0.02, text="no anonymization (A0)", xanchor="right", yanchor="bottom", xshift=-2, **style
        )


def _layout(figure: go.Figure, objectives: Sequence[Objective]) -> None:
    common_layout(figure)
    figure.update_layout(
        margin={"l": 70, "r": 24, "t": 24, "b": 64},
        legend={
            "orientation": "h",
            "yanchor": "bottom",
            "y": 1.02,
            "xanchor": "left",
            "x": 0,
            "font": {"size": 12},
            "itemsizing": "constant",
        },
        hovermode="closest",
        hoverlabel={"bgcolor": "white", "bordercolor": "#cbd5e1", "font": {"family": FONT, "size": 12, "color": INK}},
    )
    axes = objectives[:2] if len(objectives) > 1 else (None, objectives[0])
    for objective, update in zip(axes, (figure.update_xaxes, figure.update_yaxes), strict=True):
        if objective is None:
            update(title_text="trial")
            continue
        update(title_text=f"<b>{objective.name}</b> {ARROWS[objective.direction]} {objective.unit}")
        if objective.bounds == (0.0, 1.0):
            update(range=[-0.03, 1.05], tick0=0, dtick=0.2)
    if len(objectives) > 1:
        better = [1 if objective.direction == "maximize" else -1 for objective in objectives[:2]]
        figure.add_annotation(
            text="better",
            xref="paper",
            yref="paper",
            x=0.5 + 0.42 * better[0],
            y=0.5 + 0.47 * better[1],
            ax=-46 * better[0],
            ay=34 * better[1],
            showarrow=True,
            arrowhead=2,
            arrowwidth=1.6,
            arrowcolor="#009E73",
            font={"size": 13, "color": "#007a59"},
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
