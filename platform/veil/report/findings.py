"""What a study found out, free of how it is shown: sentences, and the differences between trials that they rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from veil.errors import ProtocolError
from veil.frontier.points import Interval
from veil.metrics.intervals import PairedDifference, holm

LEVEL = 0.05
EQUAL = 0.05
"""Two leaks are called equal if the interval of their difference contains 0 and lies within plus or minus this."""


@dataclass(frozen=True, kw_only=True)
class JudgedTrial:
    """A valid trial that people were scored in.

    Attributes:
        number, label, family: of the trial.
        sampled: values by the names that the search space asked for them under.
        values: objectives by name.
        left_out: (n,), each objective without each of the people, in the same order for all trials of a study.
        replicates: (R,), each objective in resamples of the people, which are the same for all trials of a study.
        trainings: images seen by each training that the trial rests on, by name.
    """

    number: int
    label: str
    family: str
    sampled: Mapping[str, object] = field(default_factory=dict)
    values: Mapping[str, float]
    left_out: Mapping[str, NDArray[np.float64]]
    replicates: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    trainings: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trial, or the mean of a group of them, beside its reference.

    Attributes:
        name: what it is.
        beside: what it is compared with or stands for, in a few words; may be empty.
        trials: their numbers.
        values: by quantity, with 95 % intervals.
        deviations: standard deviation between trainings, by quantity; empty where nothing was repeated.
        differences: from the reference, by quantity; empty for a reference.
        p_values: of these differences, adjusted by Holm's procedure for all comparisons of the study.
    """

    name: str
    beside: str = ""
    trials: tuple[int, ...] = ()
    values: Mapping[str, Interval]
    deviations: Mapping[str, float] = field(default_factory=dict)
    differences: Mapping[str, PairedDifference] = field(default_factory=dict)
    p_values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table with what it says.

    Attributes:
        heading: of the table.
        quantities: columns, in order.
        rows: in order.
        sentences: answers.
        notes: what a reader must know to read them.
    """

    heading: str
    quantities: tuple[str, ...]
    rows: tuple[Row, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...] = ()


def adjusted(differences: Sequence[Mapping[str, PairedDifference]]) -> list[dict[str, float]]:
    """p-values of many comparisons by Holm's procedure, one family of comparisons for each quantity.

    >>> low, high = PairedDifference(1.0, 0.9, 1.1, 0.01), PairedDifference(1.0, -1.0, 3.0, 0.5)
    >>> adjusted([{"leak": low}, {}, {"leak": high}])
    [{'leak': 0.02}, {}, {'leak': 0.5}]
    """
    results: list[dict[str, float]] = [{} for _ in differences]
    for name in {name: None for row in differences for name in row}:
        holders = [index for index, row in enumerate(differences) if name in row]
        for index, value in zip(holders, holm([differences[i][name].p_value for i in holders]), strict=True):
            results[index][name] = float(value)
    return results


def check_same_people(trials: Sequence[JudgedTrial]) -> None:
    """Refuse to pair trials that were scored on different numbers of people.

    Raises:
        ProtocolError: the trials are named.
    """
    counts = {spread.size: trial.number for trial in trials for spread in trial.left_out.values()}
    if len(counts) > 1:
        found = ", ".join(f"{people} in trial {number}" for people, number in counts.items())
        raise ProtocolError(f"trials do not compare, for they were scored on different people: {found}")


def excludes_zero(difference: PairedDifference) -> bool:
    """Whether the interval of a difference leaves 0 out."""
    return not difference.low <= 0 <= difference.high


def is_equal(difference: PairedDifference) -> bool:
    """Whether a difference of leak is known to be small: the two one-sided tests of equivalence, and no sign of more.

    Source: Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for assessing the
    equivalence of average bioavailability" (Journal of Pharmacokinetics and Biopharmaceutics, 1987).

    >>> is_equal(PairedDifference(0.01, -0.02, 0.04, 0.4)), is_equal(PairedDifference(0.01, -0.2, 0.22, 0.9))
    (True, False)
    """
    return not excludes_zero(difference) and difference.low >= -EQUAL and difference.high <= EQUAL


DIGITS = {"hypervolume": 3}
"""Decimals shown of quantities that need more than two."""


def difference_words(difference: PairedDifference, digits: int = 2) -> str:
    """A difference with its interval.

    >>> difference_words(PairedDifference(-0.001, -0.011, 0.05, 0.1))
    '+0.00 [-0.01, +0.05]'
    """
    return f"{difference.value:+z.{digits}f} [{difference.low:+z.{digits}f}, {difference.high:+z.{digits}f}]"


def change_sentence(
    change: str,
    differences: Mapping[str, PairedDifference],
    p_values: Mapping[str, float],
    comparisons: int,
    sample: str,
) -> str:
    """What a change does to leak and utility, and no more than the intervals allow to say.

    Args:
        change: what was done, for example "removing L_expr".
        differences: after minus before, of "leak", "utility" or both.
        p_values: adjusted.
        comparisons: how many the p-values are adjusted for.
        sample: on what this rests, for example "10 people and 3 trainings each".

    >>> utility, leak = PairedDifference(-0.21, -0.25, -0.17, 1e-4), PairedDifference(0.0, -0.02, 0.02, 1.0)
    >>> p_values = {"utility": 1e-3, "leak": 1.0}
    >>> change_sentence("removing L_expr", {"utility": utility, "leak": leak}, p_values, 9, "10 people")
    'removing L_expr costs 0.21 [0.17, 0.25] utility at equal leak (+0.00 [-0.02, +0.02])'
    """
    told = {name: difference for name, difference in differences.items() if excludes_zero(difference)}
    if all(difference.low == difference.high == 0 for difference in differences.values()):
        return f"{change} changes nothing in {' and '.join(differences)}, whoever is left out"
    if not told:
        found = ", ".join(f"{name} {difference_words(difference)}" for name, difference in differences.items())
        resolution = " and ".join(
            f"{(difference.high - difference.low) / 2:.2f} ({name})" for name, difference in differences.items()
        )
        return (
            f"{change} changes nothing that can be told apart: {found}; differences below {resolution} cannot be told "
            f"apart with {sample}"
        )
    sentence = f"{change} {_told(told, differences)}"
    lost = [name for name in told if p_values[name] > LEVEL]
    if lost:
        p = ", ".join(f"{name} p = {p_values[name]:.2f}" for name in lost)
        sentence += f"; after correction for {comparisons} comparisons this may be chance ({p})"
    return sentence


def _told(told: Mapping[str, PairedDifference], differences: Mapping[str, PairedDifference]) -> str:
    leak, utility = differences.get("leak"), told.get("utility")
    if utility is None:
        (name, difference), *_ = told.items()
        rest = [f"; {other} cannot be told apart ({difference_words(found)})"
                for other, found in differences.items() if other not in told]  # fmt: skip
        return f"changes {name} by {difference_words(difference)}{''.join(rest)}"
    if utility.value < 0:
        words = f"costs {-utility.value:.2f} [{-utility.high:.2f}, {-utility.low:.2f}] utility"
    else:
        words = f"gains {utility.value:.2f} [{utility.low:.2f}, {utility.high:.2f}] utility"
    if leak is None:
        return words
    if is_equal(leak):
        return f"{words} at equal leak ({difference_words(leak)})"
    if excludes_zero(leak):
        return f"{words} and changes leak by {difference_words(leak)}"
    return f"{words}; whether at equal leak is open ({difference_words(leak)})"


def difference_text(row: Row, quantity: str) -> str:
    """A row's difference with its adjusted p-value; empty for a reference.

    >>> found = PairedDifference(0.02, -0.011, 0.05, 0.1)
    >>> row = Row(name="a", values={}, differences={"leak": found}, p_values={"leak": 0.3})
    >>> difference_text(row, "leak"), difference_text(row, "utility")
    ('+0.02 [-0.01, +0.05], p 0.300', '')
    """
    if quantity not in row.differences:
        return ""
    words = difference_words(row.differences[quantity], DIGITS.get(quantity, 2))
    if quantity not in row.p_values:
        return words
    p_value = row.p_values[quantity]
    return f"{words}, p {f'{p_value:.3f}' if p_value >= 0.001 else '< 0.001'}"


def value_text(row: Row, quantity: str) -> str:
    """A row's value with its interval, and the standard deviation between trainings; a dash where there is none.

    >>> row = Row(name="a", values={"leak": Interval(0.5, 0.4, 0.61)}, deviations={"leak": 0.03})
    >>> value_text(row, "leak"), value_text(row, "utility")
    ('0.50 [0.40, 0.61] ± 0.03', '–')
    """
    if quantity not in row.values:
        return "–"
    digits = DIGITS.get(quantity, 2)
    value, low, high = (f"{number:.{digits}f}" for number in row.values[quantity])
    deviation = f" ± {row.deviations[quantity]:.{digits}f}" if quantity in row.deviations else ""
    return f"{value} [{low}, {high}]{deviation}"
