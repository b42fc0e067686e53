"""Two ways to a frontier at equal compute: hypervolumes of two groups of trials, over resamples of the same people."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from veil.errors import ProtocolError
from veil.frontier.hypervolume import hypervolume, reference_losses, resampled_hypervolume
from veil.frontier.points import Interval
from veil.interfaces import Question
from veil.metrics.intervals import PairedDifference, percentile_interval
from veil.objectives import Objective
from veil.report.ablations import group_name, members
from veil.report.findings import (
    DIGITS,
    JudgedTrial,
    Row,
    Section,
    check_same_people,
    difference_words,
    excludes_zero,
)

QUANTITY = "hypervolume"
COMPUTE_TOLERANCE = 0.05
SUBSETS = 50
"""Random choices over which the hypervolume of fewer points is averaged."""
WARM_START = "warm_start"
"""How names of pre-trainings begin that trials of any setting share."""


class Compute(NamedTuple):
    """Images seen by the distinct trainings of a group.

    Attributes:
        images: in trainings of its own.
        shared: in warm starts, and in trainings that the other group rests on too.
        trainings: how many of its own there are.
    """

    images: int
    shared: int
    trainings: int


class Volume(NamedTuple):
    """Hypervolume of a group.

    Attributes:
        value: of the trials as they were measured.
        replicates: (R,), in each resample of the people.
    """

    value: float
    replicates: NDArray[np.float64]


def compare_fronts(question: Question, trials: Sequence[JudgedTrial], objectives: Sequence[Objective]) -> Section:
    """Hypervolume of two groups, all their points first, then equally many of both.

    Raises:
        ProtocolError: a group has no valid trial, or trials were scored on different people.
    """
    check_same_people(trials)
    groups = members(question.reference, trials), members(question.variant, trials)
    names = group_name(question.reference), group_name(question.variant)
    for name, group in zip(names, groups, strict=True):
        if not group:
            raise ProtocolError(f"no trial of {name!r} is valid: there are no two frontiers to compare")
    people = groups[0][0].left_out[objectives[0].name].size
    compute = group_compute(groups[0], groups[1]), group_compute(groups[1], groups[0])
    fewest = min(map(len, groups))
    rows, differences = [], []
    for size, words in ((None, "all points"), (fewest, f"{fewest} points each")):
        if size is not None and len(groups[0]) == len(groups[1]):
            continue
        volumes = [group_volume(group, objectives, size or len(group)) for group in groups]
        differences.append(volume_difference(volumes[1], volumes[0], people))
        for index, (name, group, volume) in enumerate(zip(names, groups, volumes, strict=True)):
            interval = Interval(volume.value, *percentile_interval(volume.replicates, n_units=people))
            rows.append(
                Row(
                    name=f"{name}, {words}",
                    beside=compute_words(compute[index], len(group)),
                    trials=tuple(trial.number for trial in group),
                    values={QUANTITY: interval},
                    differences={QUANTITY: differences[-1]} if index else {},
                )
            )
    return Section(
        heading=f"Frontier of {names[1]} beside {names[0]}",
        quantities=(QUANTITY,),
        rows=tuple(rows),
        sentences=(_sentence(question.change, differences[-1], fewest, compute, people), *_warnings(names, compute)),
        notes=_notes(objectives),
    )


def group_compute(group: Sequence[JudgedTrial], other: Sequence[JudgedTrial]) -> Compute:
    """Images seen by the distinct trainings of a group, those that cost it nothing apart."""
    images = {name: count for trial in group for name, count in trial.trainings.items()}
    common = {name for trial in other for name in trial.trainings}
    shared = {name for name in images if name in common or name.startswith(WARM_START)}
    return Compute(
        images=sum(count for name, count in images.items() if name not in shared),
        shared=sum(images[name] for name in shared),
        trainings=len(images) - len(shared),
    )


def group_volume(group: Sequence[JudgedTrial], objectives: Sequence[Objective], points: int) -> Volume:
    """Hypervolume of as many points of a group, the mean over random choices of them where it has more."""
    names = [objective.name for objective in objectives]
    values_NM = np.array([[trial.values[name] for name in names] for trial in group])
    replicates_RNM = np.stack(
        [np.stack([trial.replicates[name] for name in names], axis=-1) for trial in group], axis=1
    )
    signs = np.array([objective.as_loss(1.0) for objective in objectives])
    rng = np.random.default_rng(0)
    subsets = [np.arange(len(group))]
    if points < len(group):
        subsets = [rng.choice(len(group), points, replace=False) for _ in range(SUBSETS)]
    return Volume(
        float(np.mean([hypervolume(values_NM[chosen] * signs, reference_losses(objectives)) for chosen in subsets])),
        np.mean([resampled_hypervolume(replicates_RNM[:, chosen], objectives) for chosen in subsets], axis=0),
    )


def volume_difference(first: Volume, second: Volume, people: int) -> PairedDifference:
    """First minus second; the people of a resample are the same for both, so that what makes them easy cancels."""
    replicates = first.replicates - second.replicates
    low, high = percentile_interval(replicates, n_units=people)
    tail = (1 + min(np.sum(replicates <= 0), np.sum(replicates >= 0))) / (1 + replicates.size)
    return PairedDifference(first.value - second.value, low, high, float(min(1.0, 2 * tail)))


def compute_words(compute: Compute, points: int) -> str:
    """Compute of a group for people.

    >>> compute_words(Compute(11200, 3000, 8), 8)
    '8 points, 8 trainings, 11,200 images (and 3,000 in warm starts and shared)'
    """
    trainings = f"{compute.trainings} training{'s' if compute.trainings != 1 else ''}"
    return f"{points} points, {trainings}, {compute.images:,} images (and {compute.shared:,} in warm starts and shared)"


def _sentence(
    change: str, difference: PairedDifference, points: int, compute: tuple[Compute, Compute], people: int
) -> str:
    equal = _is_equal(compute)
    where = (
        f"with {points} points each {'at equal compute' if equal else 'at unequal compute'} "
        f"({compute[1].images:,} against {compute[0].images:,} images)"
    )
    words = difference_words(difference, DIGITS[QUANTITY])
    if excludes_zero(difference):
        return f"{change} changes hypervolume by {words} {where}"
    resolution = (difference.high - difference.low) / 2
    return (
        f"{change} changes hypervolume by nothing that can be told apart, {words}, {where}; differences below "
        f"{resolution:.3f} cannot be told apart with {people} people"
    )


def _is_equal(compute: tuple[Compute, Compute]) -> bool:
    less, more = sorted(item.images for item in compute)
    return more - less <= COMPUTE_TOLERANCE * more


def _warnings(names: tuple[str, str], compute: tuple[Compute, Compute]) -> list[str]:
    if _is_equal(compute):
        return []
    less, more = sorted(zip(compute, names, strict=True))
    return [
        f"warning: {more[1]} saw {more[0].images:,} images in training and {less[1]} {less[0].images:,}, more than "
        f"{COMPUTE_TOLERANCE:.0%} apart: the frontiers are not compared at equal compute"
    ]


def _notes(objectives: Sequence[Objective]) -> tuple[str, ...]:
    reference = ", ".join(f"{objective.name} {objective.reference:g}" for objective in objectives)
    return (
        f"Hypervolume is the area that a frontier dominates up to a fixed reference point ({reference}). Intervals "
        "are expanded percentiles over resamples of the people, the same for both groups; the frontier is found anew "
        "in each.",
        "A frontier takes the best of noisy points, so its hypervolume is optimistic, the more points the more: "
        f"compare groups at equally many points. Of the larger group it is then the mean over {SUBSETS} random choices "
        "of its points.",
        "Trials of one training share its luck, which no resample of people shows: a group of one training stands for "
        "that training alone.",
    )
