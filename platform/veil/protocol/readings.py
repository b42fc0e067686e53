"""What a recognizer says beside its rungs: similarity to the original, the deployed threshold, linkability."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from veil.interfaces import AttackSet, Comparisons
from veil.metrics.verification import tar_at_threshold, threshold_at_far
from veil.protocol.measurement import People
from veil.protocol.pairs import unit
from veil.protocol.score import RecognizerReading


def read_recognizer(
    target: AttackSet, attacks: Mapping[str, Comparisons], people: People, far: float
) -> RecognizerReading:
    """What one recognizer says of the target people beside its rungs.

    Args:
        target: embeddings by this recognizer.
        attacks: its comparisons by name; "control", "naive" and "parrot" are used.
        people: the people under attack.
        far: of the deployed threshold.
    """
    naive, parrot = attacks.get("naive"), attacks.get("parrot")
    deployed = shift = None
    if naive is not None:
        threshold = threshold_at_far(_split(attacks["control"])[1], far)
        deployed = tar_at_threshold(_split(naive)[0], threshold)
        shift = people.similarity_shift(attacks["control"], naive)
    return RecognizerReading(
        cosine=mean_cosine(target.clear, target.anonymized),
        deployed_tar=deployed,
        similarity_shift=shift,
        linkability=people.linkability(parrot) if parrot is not None else None,
    )


def _split(comparisons: Comparisons) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return comparisons.scores[comparisons.genuine], comparisons.scores[~comparisons.genuine]


def mean_cosine(clear: NDArray[np.floating], anonymized: NDArray[np.floating]) -> float:
    """Mean cosine between rows (N, D) of the same index."""
    return float((unit(clear) * unit(anonymized)).sum(axis=1).mean())
