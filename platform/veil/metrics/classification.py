"""Accuracy and macro-F1 of top-1 decisions in resamples of the images, where nobody knows whom the images show."""

import numpy as np
from numpy.typing import NDArray

from veil.metrics.resampling import Floats, Ints


def resampled_accuracy(decisions: Ints, labels: Ints, multiplicities: Floats) -> Floats:
    """Share of images whose decision is the label, in each resample.

    Args:
        decisions: (N,) classes.
        labels: (N,) classes.
        multiplicities: (R, N), how often each image occurs in each resample.

    Returns:
        (R,).

    >>> resampled_accuracy(np.array([0, 1]), np.array([0, 0]), np.array([[1.0, 1.0], [2.0, 0.0]]))
    array([0.5, 1. ])
    """
    hits = np.asarray(decisions == labels, np.float64)
    return np.asarray(multiplicities @ hits / multiplicities.sum(axis=1))


def resampled_macro_f1(decisions: Ints, labels: Ints, multiplicities: Floats) -> Floats:
    """Mean F1 of the classes that a resample holds as label or as decision; see `veil.metrics.expression.macro_f1`.

    Args:
        decisions: (N,) classes.
        labels: (N,) classes.
        multiplicities: (R, N), how often each image occurs in each resample.

    Returns:
        (R,).

    >>> resampled_macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]), np.ones((1, 3))).round(4)
    array([0.6667])
    """
    classes = np.arange(max(decisions.max(), labels.max()) + 1)
    decided, true = _indicators(decisions, classes), _indicators(labels, classes)
    hits_RK = multiplicities @ (decided * true)
    occurrences_RK = multiplicities @ (decided + true)
    f1_RK = np.divide(2 * hits_RK, occurrences_RK, out=np.zeros_like(hits_RK), where=occurrences_RK > 0)
    return np.asarray(f1_RK.sum(axis=1) / (occurrences_RK > 0).sum(axis=1))


def _indicators(values: Ints, classes: NDArray[np.int64]) -> Floats:
    return np.asarray(values[:, None] == classes, np.float64)
