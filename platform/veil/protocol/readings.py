"""What is read beside the rungs: similarity to the original, and the deployed threshold."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from veil.interfaces import AttackSet, Comparisons
from veil.metrics.verification import tar_at_threshold, threshold_at_far
from veil.protocol.pairs import unit
from veil.protocol.score import RecognizerReading


def read_recognizer(target: AttackSet, attacks: Mapping[str, Comparisons], far: float) -> RecognizerReading:
    """What one recognizer says of the target people beside its rungs.

    Args:
        target: embeddings by this recognizer.
        attacks: its comparisons by name; "control" and "naive" are used.
        far: of the deployed threshold.
    """
    deployed = None
    if "naive" in attacks:
        threshold = threshold_at_far(_split(attacks["control"])[1], far)
        deployed = tar_at_threshold(_split(attacks["naive"])[0], threshold)
    return RecognizerReading(cosine=mean_cosine(target.clear, target.anonymized), deployed_tar=deployed)


def _split(comparisons: Comparisons) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    genuine = comparisons.gallery_identities == comparisons.probe_identities
    return comparisons.scores[genuine], comparisons.scores[~genuine]


def mean_cosine(clear: NDArray[np.floating], anonymized: NDArray[np.floating]) -> float:
    """Mean cosine between rows (N, D) of the same index."""
    return float((unit(clear) * unit(anonymized)).sum(axis=1).mean())
