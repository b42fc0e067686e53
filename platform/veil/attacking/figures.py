"""Figures of an attack: ROC, CMC, and the rungs with their intervals and chance floors."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from veil.attacking.card import CONTROL
from veil.frontier.figures import COLOURS, FONT, INK, MUTED, common_layout
from veil.protocol.measurement import RocCurve
from veil.protocol.score import RungScore

DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
"""Line styles, one a recognizer."""
LOWEST_FAR = 1e-3
ROW_PIXELS = 26


def curve_key(rung: RungScore) -> str:
    """Name of a rung among the curves of an evaluation."""
    return f"{rung.recognizer}/{rung.name}"


def best_ways(rungs: Sequence[RungScore]) -> list[RungScore]:
    """Of each attacker the best way with the best recognizer, in the order of the rungs: what curves are drawn of."""
    best: dict[str, RungScore] = {}
    for rung in rungs:
        attacker = rung.name.split("/")[0]
        if attacker not in best or rung.tar.value > best[attacker].tar.value:
            best[attacker] = rung
    return [rung for rung in rungs if best[rung.name.split("/")[0]] is rung]


def roc_plot(rungs: Sequence[RungScore], curves: Mapping[str, RocCurve], far: float) -> go.Figure:
    """ROC of each attacker's best way on a logarithmic FAR axis, with the FAR at which TAR is read."""
    figure = go.Figure()
    for rung, style in _styled(rungs):
        curve = curves[curve_key(rung)]
        drawn = curve.far >= LOWEST_FAR
        figure.add_scatter(x=curve.far[drawn], y=curve.tar[drawn], hovertemplate="FAR %{x:.3g}, TAR %{y:.3f}", **style)
    chance = np.geomspace(LOWEST_FAR, 1.0, 60)
    figure.add_scatter(x=chance, y=chance, hoverinfo="skip", **_CHANCE)
    figure.add_vline(x=far, line={"color": MUTED, "dash": "dot", "width": 1})
    _curve_layout(figure, "false accept rate", "true accept rate")
    figure.update_xaxes(type="log", range=[np.log10(LOWEST_FAR), 0], dtick=1)
    return figure


def cmc_plot(rungs: Sequence[RungScore], shares: Mapping[str, NDArray[np.float64]]) -> go.Figure:
    """Share of probes whose person is among the k best, against k, of each attacker's best way."""
    figure = go.Figure()
    for rung, style in _styled(rungs):
        values = shares[curve_key(rung)]
        figure.add_scatter(x=np.arange(1, values.size + 1), y=values, hovertemplate="rank-%{x}: %{y:.3f}", **style)
    people = max(shares[curve_key(rung)].size for rung in rungs)
    ranks = np.arange(1, people + 1)
    figure.add_scatter(x=ranks, y=ranks / people, hoverinfo="skip", **_CHANCE)
    _curve_layout(figure, f"k, of {people} people", "person among the k best")
    return figure


_CHANCE = {"mode": "lines", "line": {"color": MUTED, "width": 1, "dash": "dot"}, "name": "chance"}


def _styled(rungs: Sequence[RungScore]) -> list[tuple[RungScore, dict]]:
    """What is drawn, with its trace settings: colour by attacker, line style by recognizer, the control in grey."""
    recognizers = list(dict.fromkeys(rung.recognizer for rung in rungs))
    colours = iter(cycle(COLOURS))
    return [
        (
            rung,
            {
                "mode": "lines",
                "name": escape(f"{rung.rung} {rung.name} · {rung.recognizer}"),
                "line": {
                    "color": MUTED if rung.rung == CONTROL else next(colours),
                    "dash": DASHES[recognizers.index(rung.recognizer) % len(DASHES)],
                    "width": 2,
                },
            },
        )
        for rung in best_ways(rungs)
    ]


def _curve_layout(figure: go.Figure, horizontal: str, vertical: str) -> None:
    common_layout(figure)
    figure.update_xaxes(title_text=horizontal)
    figure.update_yaxes(title_text=vertical, range=[0, 1.03])
    figure.update_layout(
        margin={"l": 60, "r": 12, "t": 30, "b": 52},
        legend={"orientation": "h", "y": -0.16, "yanchor": "top", "x": 0, "font": {"size": 11}},
        hoverlabel={"bgcolor": "white", "font": {"family": FONT, "size": 12, "color": INK}, "namelength": -1},
    )


def ladder_plot(rungs: Sequence[RungScore]) -> go.Figure:
    """TAR of every rung with its 95 % interval; a tick marks what permuted labels reach in one draw of twenty."""
    figure = go.Figure()
    rows = list(dict.fromkeys(f"{rung.rung}  {escape(rung.name)}" for rung in rungs))
    recognizers = list(dict.fromkeys(rung.recognizer for rung in rungs))
    # Plotly stacks the bars of a group upwards, people read downwards.
    for index, recognizer in reversed(list(enumerate(recognizers))):
        own = [rung for rung in rungs if rung.recognizer == recognizer]
        where = [f"{rung.rung}  {escape(rung.name)}" for rung in own]
        figure.add_bar(
            x=[rung.tar.value for rung in own],
            y=where,
            orientation="h",
            name=escape(recognizer),
            marker={"color": COLOURS[index % len(COLOURS)]},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [rung.tar.high - rung.tar.value for rung in own],
                "arrayminus": [rung.tar.value - rung.tar.low for rung in own],
                "color": INK,
                "thickness": 1.2,
                "width": 3,
            },
            customdata=[[rung.tar.low, rung.tar.high, rung.floor_mean] for rung in own],
            hovertemplate="TAR %{x:.3f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}], chance %{customdata[2]:.3f}",
            offsetgroup=index,
        )
        figure.add_scatter(
            x=[rung.floor_95 for rung in own],
            y=where,
            mode="markers",
            marker={"symbol": "line-ns-open", "size": 13, "color": MUTED, "line": {"width": 2, "color": MUTED}},
            name="chance, 95th percentile",
            showlegend=index == 0,
            hovertemplate="95th percentile of chance %{x:.3f}<extra></extra>",
            offsetgroup=index,
        )
    common_layout(figure)
    figure.update_layout(
        barmode="group",
        scattermode="group",
        bargap=0.28,
        height=110 + ROW_PIXELS * max(len(rungs), 2),
        margin={"l": 10, "r": 16, "t": 30, "b": 52},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "reversed"},
        hoverlabel={"bgcolor": "white", "font": {"family": FONT, "size": 12, "color": INK}, "namelength": -1},
    )
    figure.update_xaxes(title_text="true accept rate", range=[0, 1.03])
    figure.update_yaxes(categoryorder="array", categoryarray=rows[::-1], automargin=True, showgrid=False)
    return figure
