"""Hypervolume that a study's trials have reached, with its interval over the people."""

from collections.abc import Sequence

import numpy as np

from veil.frontier.hypervolume import frontier_hypervolume, resampled_hypervolume
from veil.frontier.points import Interval
from veil.metrics.intervals import percentile_interval
from veil.objectives import Objective
from veil.points import frontier_point
from veil.records import TrialRecord
from veil.study import StudyFolder


def trial_hypervolume(valid: Sequence[TrialRecord], folder: StudyFolder, objectives: Sequence[Objective]) -> Interval:
    """Hypervolume with its interval over resamples of the people; without one where a trial has no people."""
    value = frontier_hypervolume([frontier_point(record) for record in valid], objectives)
    if not have_people(valid, folder):
        return Interval(value, value, value)
    spreads = [folder.spreads(record.number) for record in valid]
    values_RNM = np.stack(
        [np.stack([spread[objective.name].replicates for objective in objectives], axis=-1) for spread in spreads],
        axis=1,
    )
    people = spreads[0][objectives[0].name].left_out.size
    return Interval(value, *percentile_interval(resampled_hypervolume(values_RNM, objectives), n_units=people))


def have_people(valid: Sequence[TrialRecord], folder: StudyFolder) -> bool:
    """Whether there are valid trials, and each was scored on people; synthetic problems have none."""
    return bool(valid) and not any(record.synthetic or not folder.has_spreads(record.number) for record in valid)
