"""How much of the facial expression survives: posteriors of x against those of its anonymized version, or labels."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from veil.metrics.resampling import Floats, Ints

_SMALLEST_PROBABILITY = 1e-8
"""Below it a probability is taken as this, so that the KL divergence stays finite (at most 18.4 nats)."""


def js_divergence(p: NDArray[np.floating], q: NDArray[np.floating]) -> Floats:
    """Jensen-Shannon divergence in bits, row by row.

    Args:
        p: (N, K) distributions.
        q: (N, K) distributions.

    Returns:
        (N,) in [0, 1]; symmetric, 0 for equal rows, 1 for rows without common support.

    >>> js_divergence(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.5, 0.5]]))
    array([1., 0.])

    Source: Lin, "Divergence measures based on the Shannon entropy" (1991).
    """
    p, q = _distributions(p, q)
    middle = (p + q) / 2
    nats = (rel_entr(p, middle).sum(axis=1) + rel_entr(q, middle).sum(axis=1)) / 2
    return np.clip(nats / np.log(2), 0.0, 1.0)


def kl_divergence(p: NDArray[np.floating], q: NDArray[np.floating]) -> Floats:
    """Kullback-Leibler divergence KL(p || q) in nats, row by row, with q floored at 1e-8.

    Args:
        p: (N, K) distributions, those of the original images.
        q: (N, K) distributions, those of the anonymized images.

    Returns:
        (N,), at least 0.

    >>> kl_divergence(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])).round(4)
    array([0.6931])
    """
    p, q = _distributions(p, q)
    return np.maximum(rel_entr(p, np.maximum(q, _SMALLEST_PROBABILITY)).sum(axis=1), 0.0)


def top1_agreement(p: NDArray[np.floating], q: NDArray[np.floating]) -> float:
    """Share of rows whose most probable class is the same.

    >>> top1_agreement(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([[0.6, 0.4], [0.3, 0.7]]))
    0.5
    """
    p, q = _distributions(p, q)
    return float(np.mean(p.argmax(axis=1) == q.argmax(axis=1)))


class ClassShares(NamedTuple):
    """Use of the classes by the top-1 decisions on anonymized images.

    Attributes:
        largest: share of the class predicted most often, in [1/K, 1].
        collapsed: whether one class stands for everything although the originals show several.
    """

    largest: float
    collapsed: bool


def class_collapse(p: NDArray[np.floating], q: NDArray[np.floating], limit: float = 0.95) -> ClassShares:
    """Find an anonymizer that gives everybody one expression, which a mean divergence can hide.

    Args:
        p: (N, K) posteriors of the originals.
        q: (N, K) posteriors of the anonymized images.
        limit: share of one class from which on the decisions count as collapsed.

    >>> class_collapse(np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    ClassShares(largest=1.0, collapsed=True)
    """
    p, q = _distributions(p, q)
    original = np.bincount(p.argmax(axis=1), minlength=p.shape[1]).max() / len(p)
    largest = np.bincount(q.argmax(axis=1), minlength=q.shape[1]).max() / len(q)
    return ClassShares(float(largest), bool(largest >= limit > original))


def cross_entropy(posteriors: NDArray[np.floating], labels: Ints) -> float:
    """Mean negative log posterior of the label, in nats, with posteriors floored at 1e-8.

    Args:
        posteriors: (N, K) distributions.
        labels: (N,) classes, in 0..K-1.

    Returns:
        In [0, 18.4].

    >>> round(cross_entropy(np.array([[0.5, 0.5], [0.0, 1.0]]), np.array([0, 1])), 4)
    0.3466
    """
    posteriors, labels = _labelled(posteriors, labels)
    of_label = posteriors[np.arange(labels.size), labels]
    return float(-np.log(np.maximum(of_label, _SMALLEST_PROBABILITY)).mean())


def accuracy(posteriors: NDArray[np.floating], labels: Ints) -> float:
    """Share of rows whose most probable class is the label.

    Args:
        posteriors: (N, K) distributions.
        labels: (N,) classes, in 0..K-1.

    >>> accuracy(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1]))
    0.5
    """
    posteriors, labels = _labelled(posteriors, labels)
    return float(np.mean(posteriors.argmax(axis=1) == labels))


def macro_f1(posteriors: NDArray[np.floating], labels: Ints) -> float:
    """F1 of the top-1 decisions, averaged over classes with equal weight.

    A class that is neither a label nor ever decided for is left out; one that is only decided for, or never found,
    counts 0. Values over different sets of classes should therefore not be compared.

    Args:
        posteriors: (N, K) distributions.
        labels: (N,) classes, in 0..K-1.

    >>> round(macro_f1(np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.1, 0.9, 0.0]]), np.array([0, 1, 1])), 4)
    0.6667
    """
    posteriors, labels = _labelled(posteriors, labels)
    k = posteriors.shape[1]
    decisions = posteriors.argmax(axis=1)
    hits = np.bincount(labels[decisions == labels], minlength=k)
    occurrences = np.bincount(labels, minlength=k) + np.bincount(decisions, minlength=k)
    present = occurrences > 0
    return float(np.mean(2 * hits[present] / occurrences[present]))


def expected_calibration_error(posteriors: NDArray[np.floating], labels: Ints, bins: int = 15) -> float:
    """Mean gap between top-1 confidence and accuracy over bins of equal width, weighted by their share of the rows.

    Args:
        posteriors: (N, K) distributions.
        labels: (N,) classes, in 0..K-1.
        bins: of confidence, over [0, 1].

    Returns:
        In [0, 1].

    Source: Guo et al., "On calibration of modern neural networks" (ICML, 2017).

    >>> round(expected_calibration_error(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1])), 4)
    0.4
    """
    posteriors, labels = _labelled(posteriors, labels)
    confidence = posteriors.max(axis=1)
    excess = confidence - (posteriors.argmax(axis=1) == labels)
    columns = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return float(np.abs(np.bincount(columns, weights=excess, minlength=bins)).sum() / labels.size)


def retention_ratio(anonymized: float, clear: float) -> float:
    """What is left of a metric: its value on anonymized images over its value on clear ones.

    Returns:
        At least 0; above 1 where anonymization helps.

    Raises:
        ValueError: nothing could be lost, because the metric is not above 0 on clear images.

    >>> retention_ratio(anonymized=0.3, clear=0.6)
    0.5
    """
    if clear <= 0:
        raise ValueError(f"retention needs a metric above 0 on clear images, found {clear}")
    return anonymized / clear


def _labelled(posteriors: NDArray[np.floating], labels: Ints) -> tuple[Floats, Ints]:
    posteriors, _ = _distributions(posteriors, posteriors)
    labels = np.asarray(labels)
    n, k = posteriors.shape
    if labels.shape != (n,) or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= k:
        raise ValueError(f"expected {n} whole labels in 0..{k - 1}, found {labels.dtype} {labels.shape}")
    return posteriors, labels.astype(np.int64)


def _distributions(p: NDArray[np.floating], q: NDArray[np.floating]) -> tuple[Floats, Floats]:
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if p.shape != q.shape or p.ndim != 2 or len(p) == 0:
        raise ValueError(f"expected two (N, K) arrays of one shape with N > 0, found {p.shape} and {q.shape}")
    for rows in (p, q):
        if not (np.isfinite(rows).all() and (rows >= 0).all() and np.allclose(rows.sum(axis=1), 1.0, atol=1e-3)):
            raise ValueError("rows must be probability distributions: finite, at least 0, summing to 1")
    return p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
