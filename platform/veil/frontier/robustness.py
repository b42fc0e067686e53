"""Robustness against strength: leak of an anonymizer as one setting of an attacker grows, as curves and as a table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from veil.frontier.points import Interval

SEPARATOR = "·"
"""Stands between anonymizer and attack in the label of a trial."""


@dataclass(frozen=True, kw_only=True)
class RobustnessPoint:
    """One anonymizer under one attacker at one strength.

    Attributes:
        trial: number of the trial in its study.
        anonymizer: short name, for example "blur 31".
        attacker: registered name, for example "informed".
        strength: every setting of the attacker by name, those at their defaults too.
        leak: TAR at the suite's FAR of the attacker's worst comparison, with its own 95 % interval.
        comparison: which comparison that is, for example "informed/closed_set".
        floor_mean, floor_95: mean and 95th percentile of that TAR when identity labels are dealt out at random.
        references: TAR of attackers that learn nothing, by name ("naive", "parrot").
    """

    trial: int
    anonymizer: str
    attacker: str
    strength: Mapping[str, Any]
    leak: Interval
    comparison: str
    floor_mean: float
    floor_95: float
    references: Mapping[str, Interval] = field(default_factory=dict)


class Curve(NamedTuple):
    """Leak against one setting of an attacker, every other setting equal.

    Attributes:
        anonymizer, attacker: what is attacked, and by whom.
        setting: the setting that varies.
        elsewhere: settings that other trials of the same attacker vary, with the values they have here.
        points: one point a value, weakest first: numbers by size, then words, then None, which stands for no limit.
    """

    anonymizer: str
    attacker: str
    setting: str
    elsewhere: Mapping[str, Any]
    points: tuple[RobustnessPoint, ...]

    @property
    def values(self) -> list[Any]:
        """Values of the setting, in the order of the points."""
        return [point.strength[self.setting] for point in self.points]


def robustness_curves(points: Sequence[RobustnessPoint]) -> list[Curve]:
    """Every curve of at least two values that the points hold, by attacker, setting and anonymizer.

    A trial lies on as many curves as it has neighbours: one at the default strength belongs to the curve of each
    setting. Of trials with equal strength the first counts, for attackers are deterministic.
    """
    curves = []
    for attacker in sorted({point.attacker for point in points}):
        own = [point for point in points if point.attacker == attacker]
        varied = _varied(own)
        for setting in varied:
            groups: dict[tuple[str, str], dict[str, RobustnessPoint]] = {}
            for point in sorted(own, key=lambda point: point.trial):
                rest = {name: value for name, value in point.strength.items() if name != setting}
                same = groups.setdefault((point.anonymizer, _canonical(rest)), {})
                same.setdefault(_canonical(point.strength[setting]), point)
            for (anonymizer, _), members in sorted(groups.items()):
                if len(members) < 2:
                    continue
                ordered = sorted(members.values(), key=lambda point: _rank(point.strength[setting]))
                elsewhere = {name: ordered[0].strength[name] for name in varied if name != setting}
                curves.append(Curve(anonymizer, attacker, setting, elsewhere, tuple(ordered)))
    return curves


def _varied(points: Sequence[RobustnessPoint]) -> list[str]:
    names = points[0].strength if points else {}
    return [name for name in names if len({_canonical(point.strength.get(name)) for point in points}) > 1]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _rank(value: Any) -> tuple[int, float, str]:
    if value is None:
        return 2, 0.0, ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0, float(value), ""
    return 1, 0.0, _canonical(value)


def value_text(value: Any) -> str:
    """A setting's value for people.

    >>> value_text(None), value_text(0.5), value_text("mlp")
    ('all', '0.5', 'mlp')
    """
    if value is None:
        return "all"
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else _canonical(value)


def curve_name(curve: Curve, curves: Sequence[Curve]) -> str:
    """Anonymizer of a curve, with the settings that tell it from other curves of that anonymizer in the same panel."""
    panel = (curve.anonymizer, curve.attacker, curve.setting)
    if sum((other.anonymizer, other.attacker, other.setting) == panel for other in curves) < 2:
        return curve.anonymizer
    return f"{curve.anonymizer} ({', '.join(f'{name}={value_text(at)}' for name, at in curve.elsewhere.items())})"


def robustness_table(points: Sequence[RobustnessPoint], far: float, title: str | None = None) -> Group:
    """Renderable tables, one a curve, then one of the trials that lie on none.

    Args:
        points: trials of a study of attackers.
        far: false accept rate at which TAR is read.
        title: line above the tables.
    """
    curves = robustness_curves(points)
    tables = []
    for curve in curves:
        table = _empty_table(f"{curve_name(curve, curves)}, attacked by {curve.attacker}", curve.setting, far)
        for value, point in zip(curve.values, curve.points, strict=True):
            table.add_row(*_cells(point, value_text(value)))
        tables.append(table)
    drawn = [point for curve in curves for point in curve.points]
    alone = [point for point in points if not any(_same_place(point, other) for other in drawn)]
    if alone:
        tables.append(table := _empty_table("on no curve", "strength", far))
        for point in alone:
            varied = _varied([other for other in points if other.attacker == point.attacker])
            strength = "".join(f", {name}={value_text(point.strength[name])}" for name in varied)
            table.add_row(*_cells(point, f"{point.anonymizer}, {point.attacker}{strength}"))
    note = "chance to: 95th percentile under permuted labels. A1 and A3 learn nothing."
    return Group(*([Text(title, style="bold")] if title else []), *tables, Text(note, style="dim"))


def _empty_table(title: str, setting: str, far: float) -> Table:
    table = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        header_style="dim",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column(escape(setting), min_width=16, justify="right", overflow="fold")
    table.add_column(f"TAR at FAR {far:g}\n95 % interval", min_width=17, no_wrap=True)
    for heading in ("chance\nto", "A1\nnaive", "A3\nparrot"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("worst\ncomparison", overflow="fold")
    return table


def _same_place(point: RobustnessPoint, other: RobustnessPoint) -> bool:
    return (point.anonymizer, point.attacker, point.strength) == (other.anonymizer, other.attacker, other.strength)


def _cells(point: RobustnessPoint, strength: str) -> list[str]:
    references = [point.references.get(name) for name in ("naive", "parrot")]
    return [
        str(point.trial),
        escape(strength),
        escape(str(point.leak)),
        f"{point.floor_95:.2f}",
        *("–" if reference is None else f"{reference.value:.2f}" for reference in references),
        escape(point.comparison.removeprefix(f"{point.attacker}/")),
    ]
