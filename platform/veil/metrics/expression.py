"""How much of the facial expression survives: divergences between posteriors of x and of its anonymized version."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from veil.metrics.resampling import Floats

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


def _distributions(p: NDArray[np.floating], q: NDArray[np.floating]) -> tuple[Floats, Floats]:
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    if p.shape != q.shape or p.ndim != 2 or len(p) == 0:
        raise ValueError(f"expected two (N, K) arrays of one shape with N > 0, found {p.shape} and {q.shape}")
    for rows in (p, q):
        if not (np.isfinite(rows).all() and (rows >= 0).all() and np.allclose(rows.sum(axis=1), 1.0, atol=1e-3)):
            raise ValueError("rows must be probability distributions: finite, at least 0, summing to 1")
    return p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
