"""The part of the frontier page about settings: parallel coordinates, and what settings explain, a panel a method."""

from collections.abc import Sequence
from html import escape

from veil.frontier.dominance import Standing
from veil.frontier.figures import embed
from veil.frontier.importance import Importance
from veil.frontier.parallel import importance_figure, parallel_figures
from veil.frontier.points import FrontierPoint
from veil.objectives import Objective


def settings_section(
    rows: Sequence[tuple[FrontierPoint, Standing]], objectives: Sequence[Objective], importance: Sequence[Importance]
) -> str:
    """HTML of the section: a button for each panel, the first of which is shown; empty without a comparison.

    Args:
        rows: valid trials with their standings.
        objectives: axes.
        importance: of the settings of methods.
    """
    figures = parallel_figures(rows, objectives)
    if not figures:
        return ""
    shares = {item.method: item for item in importance}
    buttons, panels = [], []
    for index, (method, figure) in enumerate(figures.items()):
        buttons.append(
            f'<button type="button" aria-pressed="{str(index == 0).lower()}" data-panel="panel-{index}">'
            f"{escape(method)}</button>"
        )
        bars = _importance(shares[method], index) if method in shares else ""
        hidden = " hidden" if index else ""
        panels.append(
            f'<div class="panel" id="panel-{index}"{hidden}><div class="parallel">{embed(figure, f"parallel-{index}")}'
            f"</div>{bars}</div>"
        )
    return (
        '<section class="settings"><h2>Settings, attacks and objectives</h2><div class="key"><span>method</span><div '
        f'class="tabs">{"".join(buttons)}</div></div>{"".join(panels)}</section>'
    )


def _importance(item: Importance, index: int) -> str:
    height = 70 + 22 * len(item.settings) * len(item.shares)
    return (
        f"<h3>What each setting explains</h3><p>Share of the variance of an objective over the ranges searched, alone "
        f"and with other settings (fANOVA of {item.trials} trials). A sampler that prefers good regions, few trials "
        f'and noise all move it: a reason to look, no proof.</p><div style="height:{height}px">'
        f"{embed(importance_figure(item), f'importance-{index}')}</div>"
    )
