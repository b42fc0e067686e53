"""How much of each objective the settings of a method explain, for terminals."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.table import Table


class Importance(NamedTuple):
    """Importance of the settings of one method.

    Attributes:
        method: registered trainable.
        trials: how many were looked at.
        shares: of each objective by name, share of its variance by setting, most important first; shares sum to 1.
    """

    method: str
    trials: int
    shares: Mapping[str, Mapping[str, float]]

    @property
    def settings(self) -> list[str]:
        """Names of the settings, by their largest share."""
        largest: dict[str, float] = {}
        for shares in self.shares.values():
            for name, share in shares.items():
                largest[name] = max(share, largest.get(name, 0.0))
        return sorted(largest, key=lambda name: -largest[name])


def importance_table(importances: Sequence[Importance]) -> Table:
    """One row a setting, one section a method."""
    objectives = list(dict.fromkeys(name for item in importances for name in item.shares))
    table = Table("method", "setting", title="what settings explain (fANOVA)", title_justify="left", show_edge=False)
    for name in objectives:
        table.add_column(f"share of {name}", justify="right")
    for item in importances:
        for row, setting in enumerate(item.settings):
            cells = [f"{100 * item.shares[name].get(setting, 0.0):.0f} %" for name in objectives]
            table.add_row(f"{item.method}, {item.trials} trials" if row == 0 else "", setting, *cells)
        table.add_section()
    return table
