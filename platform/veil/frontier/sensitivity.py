"""Sensitivity to detection and alignment: the same images under each detector, as differences from one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from veil.errors import ProtocolError
from veil.frontier.points import Interval
from veil.metrics.intervals import PairedDifference, paired_difference

QUANTITIES = {"control": "A0 control", "leak": "leak", "utility": "utility"}
"""What is compared, in order, with its heading."""


@dataclass(frozen=True, kw_only=True)
class SensitivityPoint:
    """One anonymizer on the faces that one detector found.

    Attributes:
        trial: number of the trial in its study.
        anonymizer: short name, for example "blur 31".
        detector: registered name.
        contract_hash: crop contract of the faces.
        found: images of the people under attack that were scored: a face was found in them, and its landmarks.
        images: all images of these people.
        values: each of QUANTITIES with its own 95 % interval.
        left_out: (n,), each of QUANTITIES without each of the people, in the order of their names.
    """

    trial: int
    anonymizer: str
    detector: str
    contract_hash: str
    found: int
    images: int
    values: Mapping[str, Interval]
    left_out: Mapping[str, NDArray[np.float64]]


class Compared(NamedTuple):
    """One point beside the same anonymizer on the faces of the reference detector.

    Attributes:
        point: the point.
        differences: point minus reference, by quantity, paired by person; empty for the reference itself, without a
            reference, and where a detector found nobody of a person, so that the people are not the same.
    """

    point: SensitivityPoint
    differences: Mapping[str, PairedDifference]


def compare_detectors(points: Sequence[SensitivityPoint], reference: str, people: int) -> dict[str, list[Compared]]:
    """Points by anonymizer, the reference detector first, then by name.

    Of several trials of one anonymizer on the faces of one detector the first counts, for both are deterministic.

    Args:
        points: trials of a study of detectors.
        reference: detector from which differences are taken.
        people: that were put under attack; a point that scored fewer has lost some, and is paired with no other.

    Raises:
        ProtocolError: trials of one detector were judged on crops of different contracts.
    """
    contracts: dict[str, str] = {}
    groups: dict[str, dict[str, SensitivityPoint]] = {}
    for point in sorted(points, key=lambda point: point.trial):
        if contracts.setdefault(point.detector, point.contract_hash) != point.contract_hash:
            raise ProtocolError(
                f"the detector {point.detector!r} changed within the study: trial {point.trial} has crop contract "
                f"{point.contract_hash}, earlier ones {contracts[point.detector]}; sweep anew under another "
                "--set study=NAME"
            )
        groups.setdefault(point.anonymizer, {}).setdefault(point.detector, point)
    compared = {}
    for anonymizer, of_detector in groups.items():
        first = of_detector.get(reference)
        names = sorted(of_detector, key=lambda name: (name != reference, name))
        compared[anonymizer] = [
            Compared(of_detector[name], _differences(of_detector[name], first, people)) for name in names
        ]
    return compared


def _differences(
    point: SensitivityPoint, reference: SensitivityPoint | None, people: int
) -> dict[str, PairedDifference]:
    if reference is None or reference is point:
        return {}
    names = [name for name in QUANTITIES if name in point.left_out and name in reference.left_out]
    if any(item.left_out[name].size != people for item in (point, reference) for name in names):
        return {}
    return {
        name: paired_difference(
            point.values[name].value, point.left_out[name], reference.values[name].value, reference.left_out[name]
        )
        for name in names
    }


def difference_text(difference: PairedDifference | None) -> str:
    """A difference for people; a dash where there is none.

    >>> difference_text(PairedDifference(-0.05, -0.12, 0.02, 0.13)), difference_text(None)
    ('-0.05 [-0.12, +0.02]', '–')
    """
    if difference is None:
        return "–"
    return f"{difference.value:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"


NOTE = (
    "Below each value its difference from the reference detector, paired by person; bold where the interval leaves 0 "
    "out, a dash where a person lost every image. Images in which no face is found are not scored: they count neither "
    "as private nor as leaked."
)


def sensitivity_table(
    points: Sequence[SensitivityPoint], reference: str, people: int, title: str | None = None
) -> Group:
    """Renderable tables, one an anonymizer; see `compare_detectors`.

    Args:
        points: trials of a study of detectors.
        reference: detector from which differences are taken.
        people: that were put under attack.
        title: line above the tables.
    """
    tables = []
    for anonymizer, rows in compare_detectors(points, reference, people).items():
        tables.append(table := _empty_table(anonymizer))
        for row in rows:
            table.add_row(*_cells(row, reference))
    return Group(*([Text(title, style="bold")] if title else []), *tables, Text(NOTE, style="dim"))


def _empty_table(title: str) -> Table:
    table = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        header_style="dim",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("detector\nfound", overflow="fold", min_width=10)
    for heading in QUANTITIES.values():
        table.add_column(f"{heading}\n95 % interval", no_wrap=True)
    return table


def _cells(row: Compared, reference: str) -> list[Text]:
    point = row.point
    name = f"{point.detector} (reference)" if point.detector == reference else point.detector
    cells = [Text(str(point.trial)), Text(f"{name}\n{point.found} of {point.images}")]
    for quantity in QUANTITIES:
        difference = row.differences.get(quantity)
        below = "" if point.detector == reference else difference_text(difference)
        style = "bold" if difference is not None and stands_out(difference) else "dim"
        value = str(point.values[quantity]) if quantity in point.values else "–"
        cells.append(Text.assemble(value, "\n", (below, style)))
    return cells


def stands_out(difference: PairedDifference) -> bool:
    """Whether the interval of a difference leaves 0 out."""
    return not difference.low <= 0 <= difference.high
