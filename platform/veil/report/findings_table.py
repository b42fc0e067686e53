"""What a study found out, in the terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from veil.report.findings import LEVEL, Row, Section, difference_text, value_text


def findings(sections: Sequence[Section], title: str) -> Group:
    """Renderable sections: a table, its answers, and what a reader must know.

    Args:
        sections: in order.
        title: line above them.
    """
    parts: list[RenderableType] = [Text(title, style="bold")]
    for section in sections:
        parts += [Text(""), _table(section)]
        parts += [Padding(Text(f"• {sentence}"), (0, 0, 0, 1)) for sentence in section.sentences]
        parts += [Padding(Text(note, style="dim"), (0, 0, 0, 1)) for note in section.notes]
    return Group(*parts)


def _table(section: Section) -> Table:
    table = Table(
        title=Text(section.heading, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="dim",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("trials", overflow="fold", max_width=8)
    table.add_column("what\nbeside", overflow="fold", min_width=16)
    for quantity in section.quantities:
        table.add_column(f"{quantity} [95 %]\ndifference, p (Holm)", no_wrap=True)
    for row in section.rows:
        table.add_row(
            " ".join(map(str, row.trials)),
            Text.assemble(row.name, *([("\n" + row.beside, "dim")] if row.beside else [])),
            *(_cell(row, quantity) for quantity in section.quantities),
        )
    return table


def _cell(row: Row, quantity: str) -> Text:
    difference = row.differences.get(quantity)
    if difference is None:
        return Text(value_text(row, quantity))
    style = "bold" if row.p_values.get(quantity, difference.p_value) <= LEVEL else "dim"
    return Text.assemble(value_text(row, quantity), "\n", (difference_text(row, quantity), style))
