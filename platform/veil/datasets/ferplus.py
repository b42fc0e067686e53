"""FER+: the faces of FER-2013, labelled anew by ten annotators each."""

import csv
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from veil.datasets.dataset import Dataset, LayoutError, Skipped, make_dataset
from veil.datasets.fer2013 import find_csv, read_rows
from veil.datasets.files import fingerprint_of
from veil.datasets.reader import About, described
from veil.errors import DataError
from veil.interfaces import EXPRESSIONS
from veil.registry import datasets

VOTES_NAME = "fer2013new.csv"
CLASSES = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt", "unknown", "not a face")
"""Columns of votes, in the words of EXPRESSIONS where those have the class."""

EMOTIONS = 8
"""Classes before "unknown"."""

OUTLIER = 1
"""A class with no more votes than this has none."""

ENOUGH, MOST_CLASSES = 0.75, 3
"""Share of the votes at which no further class is taken, and number of classes above which a face is ambiguous."""


class Label(NamedTuple):
    """What annotators see in a face.

    Attributes:
        distribution: share of each of EXPRESSIONS, float (7,), summing to 1.
        majority: the class with more than half of all votes; None if there is none.
    """

    distribution: tuple[float, ...]
    majority: str | None


class VotesRejectedError(Exception):
    """The published rules leave out a face; the message is the reason."""


@datasets.register("ferplus")
@described(
    About(
        title="FER+",
        content="FER-2013 with the votes of 10 annotators as a distribution over 7 expressions",
        layout=f"fer2013.csv (or icml_face_data.csv) of FER-2013, and {VOTES_NAME} beside it",
        url="https://github.com/microsoft/FERPlus",
        licence="votes MIT; the faces as FER-2013, research use",
        citation="Barsoum, Zhang, Canton Ferrer, Zhang: Training Deep Networks for Facial Expression Recognition with "
        "Crowd-Sourced Label Distribution, ICMI 2016",
    )
)
def read_ferplus(root: Path) -> Dataset:
    """Read FER+; a face is labelled with its distribution, and with an expression where one has a majority.

    Raises:
        DataError: one of the two files is not there, or their rows do not belong together.
    """
    table = find_csv(root)
    if table is None:
        raise LayoutError(
            "found neither fer2013.csv nor icml_face_data.csv; the image files of FER-2013 do not do, as "
            "they have lost the order of rows that the votes follow"
        )
    votes_path = table.with_name(VOTES_NAME)
    if not votes_path.is_file():
        raise LayoutError(f"found {table.name}, but no {VOTES_NAME} beside it")
    images, skipped = [], []
    votes = read_votes(votes_path)
    for row in read_rows(table):
        usage, counts = next(votes, ("", None))
        if usage != row.usage and row.problem is None:
            raise DataError(
                f"row {row.number + 1} is of {row.usage!r} in {table}, but of {usage or 'nothing'!r} in {votes_path}; "
                "the two files must have the same rows in the same order: take both as published"
            )
        try:
            if row.problem is not None:
                raise VotesRejectedError(row.problem)
            if counts is None:
                raise VotesRejectedError("no ten numbers of votes")
            label = label_votes(counts)
        except VotesRejectedError as reason:
            skipped.append(Skipped(row.path, str(reason)))
        else:
            images.append(row.image(label.majority, label.distribution))
    left = sum(1 for _ in votes)
    if left:
        raise DataError(f"{votes_path} has {left} rows more than {table}; take both files as published")
    return make_dataset("ferplus", images, fingerprint_of(table, votes_path), skipped)


def read_votes(path: Path) -> Iterator[tuple[str, tuple[int, ...] | None]]:
    """Usage and the votes for each of CLASSES, in the order of rows; None for votes that are not ten numbers.

    Raises:
        DataError: the file cannot be read or has other columns.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if len(header) != 2 + len(CLASSES):
                raise LayoutError(f"{path.name} has {len(header)} columns, expected Usage, Image name and 10 of votes")
            for row in rows:
                if row:
                    numbers = [field.strip() for field in row[2:]]
                    valid = len(numbers) == len(CLASSES) and all(map(str.isdecimal, numbers))
                    yield row[0].strip(), tuple(map(int, numbers)) if valid else None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check its permissions or 'data.root'") from error


def label_votes(votes: Sequence[int]) -> Label:
    """Turn votes into a label by the published rules.

    1. A class with a single vote has none: an outlier.
    2. Classes are taken from the most votes down, those with equally many together, until three quarters of the votes
       are taken, three classes are, or "unknown" or "not a face" comes up, which is never taken itself.
    3. A face is left out if "unknown" or "not a face" comes first, if what is taken is half of the votes or less, or if
       it is more than three classes.

    Two rules are ours, as Veil knows no contempt: a face in which most see it is left out, and elsewhere its share goes
    to the other classes in proportion. The majority is that of the published test labels: more than half of the votes
    that are no outliers.

    Args:
        votes: int (10,), in the order of CLASSES.

    Raises:
        VotesRejectedError: the rules leave the face out.

    Source: Barsoum et al., ICMI 2016, and the modes "crossentropy" (training) and "majority" (test) of their code.
    """
    counts = {name: number for name, number in zip(CLASSES, votes, strict=True) if number > OUTLIER}
    total = sum(counts.values())
    taken: dict[str, int] = {}
    by_votes = sorted(counts, key=lambda name: -counts[name])  # stable: in the order of CLASSES where equal
    for _, level in groupby(by_votes, key=counts.__getitem__):
        if sum(taken.values()) >= ENOUGH * total or len(taken) >= MOST_CLASSES:
            break
        names = list(level)
        taken |= {name: counts[name] for name in names if name in CLASSES[:EMOTIONS]}
        others = [name for name in names if name not in taken]
        if others:
            if not taken:
                raise VotesRejectedError(f"most annotators say {others[0]!r}")
            break
    if not 2 * sum(taken.values()) > total or len(taken) > MOST_CLASSES:
        raise VotesRejectedError("annotators do not agree")
    majority = by_votes[0]
    if majority == "contempt":
        raise VotesRejectedError("most annotators see contempt, which is none of the 7 expressions")
    known = sum(taken.get(name, 0) for name in EXPRESSIONS)
    distribution = tuple(taken.get(name, 0) / known for name in EXPRESSIONS)
    return Label(distribution, majority if 2 * counts[majority] > total else None)
