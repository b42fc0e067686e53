"""Trials against one of them: paired differences over the same people, corrected for the number of comparisons."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from veil.errors import ProtocolError
from veil.metrics.intervals import PairedDifference, holm, paired_difference
from veil.objectives import Objective

LEVEL = 0.05


class SampledTrial(NamedTuple):
    """A valid trial with its objectives over other samples of the people.

    Attributes:
        number: of the trial.
        label: short name.
        values: objectives by name.
        left_out: (n,) each objective without each of the people, in the same order for all trials of a study.
    """

    number: int
    label: str
    values: dict[str, float]
    left_out: dict[str, NDArray[np.float64]]


class Comparison(NamedTuple):
    """One trial beside the reference.

    Attributes:
        trial: that is compared.
        differences: trial minus reference, by objective.
        p_values: adjusted by Holm's procedure for all trials compared, by objective.
    """

    trial: SampledTrial
    differences: dict[str, PairedDifference]
    p_values: dict[str, float]


def compare_with(
    reference: SampledTrial, others: Sequence[SampledTrial], objectives: Sequence[Objective]
) -> list[Comparison]:
    """Difference of each trial from the reference, in the order given.

    People who are hard for one anonymizer are mostly hard for the other: paired differences are far narrower than the
    intervals of the two trials suggest.

    Raises:
        ProtocolError: a trial was scored on other people than the reference.
    """
    differences: list[dict[str, PairedDifference]] = []
    for other in others:
        try:
            differences.append(
                {
                    objective.name: paired_difference(
                        other.values[objective.name],
                        other.left_out[objective.name],
                        reference.values[objective.name],
                        reference.left_out[objective.name],
                    )
                    for objective in objectives
                }
            )
        except ValueError as error:
            raise ProtocolError(f"trials {other.number} and {reference.number} do not compare: {error}") from None
    adjusted = {objective.name: holm([row[objective.name].p_value for row in differences]) for objective in objectives}
    return [
        Comparison(other, row, {name: float(values[index]) for name, values in adjusted.items()})
        for index, (other, row) in enumerate(zip(others, differences, strict=True))
    ]


def comparison_table(
    reference: SampledTrial, comparisons: Sequence[Comparison], objectives: Sequence[Objective]
) -> Table:
    """Differences with intervals; those that Holm's procedure leaves significant are in bold, others are ties."""
    title = f"paired differences from trial {reference.number} ({reference.label}); bold: significant at {LEVEL:g}"
    table = Table("trial", "method", title=title, title_justify="left")
    for objective in objectives:
        table.add_column(f"Δ {objective.name} [95 %]", justify="right")
        table.add_column("p (Holm)", justify="right")
    for item in comparisons:
        cells: list[Text] = []
        for objective in objectives:
            found, p_value = item.differences[objective.name], item.p_values[objective.name]
            text = f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
            cells.append(Text(text, style="bold" if p_value <= LEVEL else ""))
            cells.append(Text(f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"))
        table.add_row(str(item.trial.number), Text(item.trial.label), *cells)
    return table
