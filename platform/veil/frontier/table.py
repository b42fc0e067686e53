"""The frontier in a terminal: every trial, the non-dominated ones first, intervals beside values."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from veil.frontier.dominance import Standing, frontier, ranked
from veil.frontier.points import FrontierPoint
from veil.objectives import Direction, Objective

EXTRA_HEADINGS = {
    "proxy_cosine": "proxy\ncosine",
    "control": "A0\nTAR",
    "proxy_naive": "A1 by\nproxy",
    "naive": "A1\nnaive",
    "search_cosine": "search\ncosine",
    "reverse": "A2\nreverse",
    "parrot": "A3\nparrot",
    "informed": "A4\ninformed",
    "finetuned": "A5\ntuned",
    "reversal": "A6\nreversal",
    "labelled_accuracy": "labels:\naccuracy",
    "labelled_macro_f1": "labels:\nmacro-F1",
}
"""Extras with a column of their own, in order; the first ones survive longest where the terminal is narrow."""

ESSENTIAL_EXTRAS = 2
"""How many of them a narrow terminal keeps, at the price of a folded method."""

ARROWS: dict[Direction, str] = {"minimize": "↓", "maximize": "↑"}


MARKS: dict[Standing, str] = {"frontier": "★", "tie": "≈", "beaten": ""}

STYLES: dict[Standing, str | None] = {"frontier": "bold green", "tie": "green", "beaten": None}


def summary(
    points: Sequence[FrontierPoint], objectives: Sequence[Objective], ties: Collection[int] | None = None
) -> str:
    """One line that counts trials, frontier, ties where they are known, invalid ones, and those stopped early."""
    parts = [f"{len(points)} trials", f"{len(frontier(points, objectives))} on the frontier ({MARKS['frontier']})"]
    if ties is not None:
        parts.append(f"{len(ties)} off it by no more than noise ({MARKS['tie']})")
    parts.append(f"{sum(not point.valid and not point.stopped for point in points)} invalid")
    if stopped := sum(point.stopped for point in points):
        parts.append(f"{stopped} stopped early (■)")
    return ", ".join(parts)


@dataclass(frozen=True)
class FrontierTable:
    """What `console.print` shows of a study.

    Frontier trials are marked ★ and come first, then those that tie with them, marked ≈. What the loss recognizer
    reports (cosine, TAR of its naive attack) stands beside what the search recognizer measures, so that a trial that
    only fools its own loss is seen at a glance. Columns beyond the width of the terminal are left out, least important
    first. Trials that are not valid follow with their reasons, then the numbers of those stopped early.

    Attributes:
        points: all trials.
        objectives: axes.
        title: line above the table.
        ties: numbers of the trials that tie with the frontier; None where that is not known.
        groups: numbers of trials that tie with each other; each group stands together, under its name.
    """

    points: Sequence[FrontierPoint]
    objectives: Sequence[Objective]
    title: str | None = None
    ties: Collection[int] | None = None
    groups: Sequence[Sequence[int]] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the title, the table and the list of invalid trials."""
        extras = [name for name in EXTRA_HEADINGS if any(name in point.extras for point in self.points)]
        table = self._table(extras)
        while (
            len(extras) > ESSENTIAL_EXTRAS
            and console.measure(table, options=options.update(max_width=1000)).maximum > options.max_width
        ):
            extras.pop()
            table = self._table(extras)
        if self.title:
            yield Text(self.title, style="bold")
        yield table
        yield from self._invalid()
        yield from self._stopped()
        yield Text(summary(self.points, self.objectives, self.ties), style="dim")

    def _table(self, extras: Sequence[str]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("", width=1, no_wrap=True)
        if any(len(group) > 1 for group in self.groups):
            table.add_column("tie", no_wrap=True)
        table.add_column("#", justify="right", no_wrap=True)
        table.add_column("method", overflow="fold", min_width=10)
        for objective in self.objectives:
            table.add_column(f"{objective.name} {ARROWS[objective.direction]}\n95 % interval", no_wrap=True)
        table.add_column("worst\nattack", overflow="fold", min_width=8)
        for name in extras:
            table.add_column(EXTRA_HEADINGS[name], justify="right", no_wrap=True)
        names = group_names(self.groups)
        rows = ranked(self.points, self.objectives, self.ties)
        place = {trial: index for index, group in enumerate(self.groups) for trial in group}
        rows.sort(key=lambda row: place.get(row[0].trial, len(self.groups)))
        # A section is a group of ties where these are known, and a standing elsewhere.
        sections = [place.get(point.trial, standing) for point, standing in rows]
        for index, (point, standing) in enumerate(rows):
            table.add_row(
                MARKS[standing],
                *([names.get(point.trial, "")] if names else []),
                str(point.trial),
                escape(point.label) + (" (synthetic)" if point.synthetic else ""),
                *(escape(str(point.interval(objective.name))) for objective in self.objectives),
                escape(point.strongest or "–"),
                *(f"{point.extras[name]:.2f}" if name in point.extras else "–" for name in extras),
                style=STYLES[standing],
                end_section=index + 1 < len(rows) and sections[index + 1] != sections[index],
            )
        return table

    def _invalid(self) -> Iterator[Padding]:
        invalid = (point for point in self.points if not point.valid and not point.stopped)
        for point in sorted(invalid, key=lambda point: point.trial):
            line = Text.assemble((f"✗ trial {point.trial} ", "red"), f"{point.label}: {point.reason}")
            yield Padding(line, (0, 0, 0, 1))

    def _stopped(self) -> Iterator[Padding]:
        if numbers := sorted(point.trial for point in self.points if point.stopped):
            trials = f"trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
            yield Padding(Text.assemble(("■ stopped early ", "yellow"), trials), (0, 0, 0, 1))


def group_names(groups: Sequence[Sequence[int]]) -> dict[int, str]:
    """Name of the group of each trial that ties with another, in the order of the groups.

    >>> group_names([(4, 7), (1,), (2, 3)])
    {4: 'A', 7: 'A', 2: 'B', 3: 'B'}
    """
    several = [group for group in groups if len(group) > 1]
    return {trial: _letters(index) for index, group in enumerate(several) for trial in group}


def _letters(index: int) -> str:
    """A to Z, then AA and so on, as spreadsheets name their columns."""
    return (_letters(index // 26 - 1) if index >= 26 else "") + chr(ord("A") + index % 26)


def frontier_table(
    points: Sequence[FrontierPoint],
    objectives: Sequence[Objective],
    title: str | None = None,
    ties: Collection[int] | None = None,
    groups: Sequence[Sequence[int]] = (),
) -> FrontierTable:
    """Renderable table of all trials of a study, for `rich.console.Console.print`."""
    return FrontierTable(tuple(points), tuple(objectives), title, ties, tuple(groups))
