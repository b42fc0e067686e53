"""One-to-one verification: ROC, DET, TAR at a FAR with split ties, equal error rate, area under the curve."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]


class Roc(NamedTuple):
    """Receiver operating characteristic, from the strictest to the most lenient threshold.

    Attributes:
        far: float (T,), false accept rate, in [0, 1], rising from 0 to 1.
        tar: float (T,), true accept rate, in [0, 1], rising from 0 to 1.
        thresholds: float (T,), falling from +inf; a pair is accepted when its score is at or above it.
    """

    far: Floats
    tar: Floats
    thresholds: Floats


def roc(genuine: ArrayLike, impostor: ArrayLike) -> Roc:
    """ROC with one point per distinct score, so that tied scores form one straight segment.

    Args:
        genuine: (G,) scores of pairs of one person, larger meaning more alike.
        impostor: (I,) scores of pairs of two people.

    Raises:
        ValueError: a side is empty or a score is not finite.

    >>> roc([0.9, 0.5], [0.5, 0.1])
    Roc(far=array([0. , 0. , 0.5, 1. ]), tar=array([0. , 0.5, 1. , 1. ]), thresholds=array([inf, 0.9, 0.5, 0.1]))
    """
    genuine, impostor = _scores(genuine, "genuine"), _scores(impostor, "impostor")
    thresholds = np.unique(np.concatenate([genuine, impostor]))[::-1]
    accepted_genuine = genuine.size - np.searchsorted(np.sort(genuine), thresholds, side="left")
    accepted_impostor = impostor.size - np.searchsorted(np.sort(impostor), thresholds, side="left")
    return Roc(
        far=np.concatenate([[0.0], accepted_impostor / impostor.size]),
        tar=np.concatenate([[0.0], accepted_genuine / genuine.size]),
        thresholds=np.concatenate([[np.inf], thresholds]),
    )


class Det(NamedTuple):
    """Detection error trade-off, from the strictest to the most lenient threshold.

    Attributes:
        far: float (T,), false accept rate, in [0, 1], rising from 0 to 1.
        frr: float (T,), false reject rate, in [0, 1], falling from 1 to 0.
        thresholds: float (T,), falling from +inf; a pair is accepted when its score is at or above it.
    """

    far: Floats
    frr: Floats
    thresholds: Floats


def det(genuine: ArrayLike, impostor: ArrayLike) -> Det:
    """DET curve with one point per distinct score: the two errors against each other, usually on normal-deviate axes.

    Args:
        genuine: (G,) scores of pairs of one person, larger meaning more alike.
        impostor: (I,) scores of pairs of two people.

    Raises:
        ValueError: a side is empty or a score is not finite.

    Source: Martin et al., "The DET curve in assessment of detection task performance" (Eurospeech, 1997).

    >>> det([0.9, 0.5], [0.5, 0.1])
    Det(far=array([0. , 0. , 0.5, 1. ]), frr=array([1. , 0.5, 0. , 0. ]), thresholds=array([inf, 0.9, 0.5, 0.1]))
    """
    curve = roc(genuine, impostor)
    return Det(curve.far, 1.0 - curve.tar, curve.thresholds)


def tar_at_far(genuine: ArrayLike, impostor: ArrayLike, far: float) -> float:
    """True accept rate at a false accept rate measured on these same impostors, ties split.

    Where the FAR falls inside a group of tied scores, the attacker accepts the tied pairs with the probability that
    meets the FAR exactly (the randomised test of Neyman and Pearson, 1933). That is linear interpolation of the ROC,
    so a constant score, which knows nothing, gives TAR = FAR rather than 0 or 1.

    Args:
        genuine: (G,) scores of pairs of one person.
        impostor: (I,) scores of pairs of two people.
        far: in [0, 1].

    Raises:
        ValueError: a side is empty, a score is not finite, or `far` is out of range.

    >>> tar_at_far([0.9, 0.8, 0.3], [0.7, 0.2, 0.1, 0.0], far=0.25)
    1.0
    >>> tar_at_far([0.5] * 3, [0.5] * 7, far=0.01)
    0.01
    """
    if not 0 <= far <= 1:
        raise ValueError(f"far must be in [0, 1], found {far}")
    curve = roc(genuine, impostor)
    return float(np.interp(far, curve.far, curve.tar))


def acceptance_at_far(genuine: ArrayLike, impostor: ArrayLike, far: float) -> Floats:
    """Chance with which each genuine pair is accepted at that FAR, ties split; the mean is `tar_at_far`.

    Args:
        genuine: (G,) scores of pairs of one person.
        impostor: (I,) scores of pairs of two people.
        far: in [0, 1].

    Returns:
        (G,) in [0, 1]; strictly between 0 and 1 only where the FAR falls inside a group of tied scores.

    >>> acceptance_at_far([0.9, 0.5, 0.1], [0.5, 0.4, 0.3, 0.2], far=0.125)
    array([1. , 0.5, 0. ])
    """
    genuine = _scores(genuine, "genuine")
    curve = roc(genuine, impostor)
    strictest = int(np.searchsorted(curve.far, far, side="right")) - 1
    accepted = (genuine >= curve.thresholds[strictest]).astype(np.float64)
    if strictest + 1 < curve.far.size:
        below, above = curve.far[strictest : strictest + 2]
        accepted[genuine == curve.thresholds[strictest + 1]] = (far - below) / (above - below)
    return accepted


def threshold_at_far(impostor: ArrayLike, far: float) -> float:
    """Lowest threshold whose FAR on `impostor` is at most `far`: what a deployed recognizer is set to.

    Returns:
        A score; a pair is accepted when its score is strictly above it, so the bound holds under ties too.

    >>> threshold_at_far([0.1, 0.2, 0.3, 0.4], far=0.25)
    0.3
    """
    if not 0 <= far <= 1:
        raise ValueError(f"far must be in [0, 1], found {far}")
    ordered = np.sort(_scores(impostor, "impostor"))[::-1]
    # The tolerance keeps 0.29 * 100 = 28.999999999999996 from losing an allowed accept.
    allowed = int(np.floor(far * ordered.size + 1e-9))
    return float(ordered[allowed]) if allowed < ordered.size else float(np.nextafter(ordered[-1], -np.inf))


def tar_at_threshold(genuine: ArrayLike, threshold: float) -> float:
    """Share of genuine scores strictly above `threshold`.

    >>> tar_at_threshold([0.1, 0.5, 0.9, 0.95], threshold=0.5)
    0.5
    """
    return float(np.mean(_scores(genuine, "genuine") > threshold))


def eer(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """Equal error rate: where the interpolated ROC meets FAR = 1 - TAR.

    Returns:
        In [0, 1]; 0.5 for scores that know nothing.

    >>> eer([0.9, 0.8, 0.3, 0.7], [0.4, 0.2, 0.1, 0.0])
    0.25
    >>> eer([1.0, 1.0], [1.0])
    0.5
    """
    curve = roc(genuine, impostor)
    excess = curve.far - (1.0 - curve.tar)  # rises from -1 to 1
    after = int(np.argmax(excess >= 0))
    before = after - 1
    share = -excess[before] / (excess[after] - excess[before])
    return float(curve.far[before] + share * (curve.far[after] - curve.far[before]))


def auc(genuine: ArrayLike, impostor: ArrayLike) -> float:
    """Area under the ROC: the probability that a genuine score beats an impostor one, ties counting half.

    Source: Mann and Whitney (1947); Hanley and McNeil (1982).

    >>> auc([0.9, 0.5], [0.5, 0.1])
    0.875
    """
    genuine, impostor = _scores(genuine, "genuine"), _scores(impostor, "impostor")
    ranks = rankdata(np.concatenate([genuine, impostor]))[: genuine.size]
    wins = ranks.sum() - genuine.size * (genuine.size + 1) / 2
    return float(wins / (genuine.size * impostor.size))


def _scores(values: ArrayLike, side: str) -> Floats:
    scores = np.asarray(values, dtype=np.float64).ravel()
    if scores.size == 0:
        raise ValueError(f"no {side} scores")
    if not np.isfinite(scores).all():
        raise ValueError(f"{side} scores must be finite, found {scores[~np.isfinite(scores)][0]}")
    return scores
