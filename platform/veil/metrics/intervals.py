"""Intervals from few people, and what may be claimed when numbers are compared.

The people are the sample: their images and pairs move together, so every interval here counts people. Two sources of
spread are taken: replicates of the bootstrap over people, and the values with one person left out (the delete-one
jackknife, which needs n evaluations instead of thousands and no random numbers).

Which interval holds was measured by simulation, with 8, 10 and 20 people of 10 images and a TAR at a FAR of 1 % whose
threshold comes from the same people. At a TAR of 0.85 the percentile interval covers only 83, 90 and 94 %, the
expanded one 89, 94 and 96 %. The score interval with an effective number of people covers 93 to 97 % at TARs of 0.2,
0.5 and 0.85 and is the one to report for rates; paired differences cover 95 to 99 %. No interval sees people who are
not in the sample: where a few people in many decide, all of these cover less often than they say.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtr, stdtrit

Floats = NDArray[np.float64]


def percentile_interval(replicates: Floats, n_units: int | None = None, level: float = 0.95) -> tuple[float, float]:
    """Central percentile interval of bootstrap replicates; undefined (NaN) replicates are left out.

    Args:
        replicates: (R,).
        n_units: people that were resampled. With it the interval is the expanded one, which takes more extreme
            percentiles, alpha' / 2 = Phi(-sqrt(n / (n - 1)) t_{alpha / 2, n - 1}), because resampling few people
            understates their spread; without it the percentiles are alpha / 2 and 1 - alpha / 2.
        level: share of samples whose interval is meant to contain the truth, in (0, 1).

    Raises:
        ValueError: more than half of the replicates are undefined, or fewer than 2 units.

    Source: Hesterberg, "What Teachers Should Know About the Bootstrap" (The American Statistician, 2015), section 5.

    >>> replicates = np.linspace(0.0, 1.0, 1001)
    >>> [round(end, 3) for end in percentile_interval(replicates)]
    [0.025, 0.975]
    >>> [round(end, 3) for end in percentile_interval(replicates, n_units=10)]
    [0.009, 0.991]
    """
    defined = replicates[~np.isnan(replicates)]
    if 2 * defined.size < replicates.size or defined.size == 0:
        raise ValueError(f"only {defined.size} of {replicates.size} replicates are defined: too few people with pairs")
    tail = (1 - level) / 2
    if n_units is not None:
        if n_units < 2:
            raise ValueError(f"an expanded interval needs at least 2 people, found {n_units}")
        tail = ndtr(np.sqrt(n_units / (n_units - 1)) * stdtrit(n_units - 1, tail))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def rule_of_three(n: int, level: float = 0.95) -> float:
    """Largest rate that still gives no hit among n independent units with probability 1 - level: about 3 / n at 95 %.

    Args:
        n: independent units: people, never pairs or images.
        level: one-sided confidence, in (0, 1).

    Source: Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?" (JAMA, 1983).

    >>> round(rule_of_three(10), 3), round(rule_of_three(1000), 5)
    (0.259, 0.00299)
    """
    if n < 1:
        raise ValueError(f"expected at least 1 unit, found {n}")
    return float(1 - (1 - level) ** (1 / n))


def rate_interval(value: float, left_out: Floats, level: float = 0.95) -> tuple[float, float]:
    """Interval of a rate, or of any mean of values in [0, 1], over people.

    Wilson's score interval with the effective number of people, p (1 - p) / variance, the variance by the delete-one
    jackknife over people, and Student's t with n - 1 degrees of freedom. It stays inside [0, 1], contains the value,
    and is long on the side away from the nearer end, where unseen people can be.

    A value of 0 or 1 says nothing of its variance; there the interval reaches at least as far as the rule of three
    allows for n people. A value between, from which no left-out person departs, is a constant and has no width.

    Args:
        value: estimate from all people, in [0, 1].
        left_out: (n,), the estimates with each person left out.
        level: in (0, 1).

    Raises:
        ValueError: fewer than 3 people, an undefined left-out estimate, or a value outside [0, 1].

    Source: Wilson (1927); Korn and Graubard, "Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data" (Survey Methodology, 1998), for the effective size; Franco, Little,
    Louis and Slud (Journal of Survey Statistics and Methodology, 2019), who find Wilson's form to cover best.

    >>> people = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    >>> [round(end, 3) for end in rate_interval(people.mean(), (people.sum() - people) / 4)]
    [0.073, 0.444]
    >>> [round(end, 3) for end in rate_interval(0.0, np.zeros(10))]
    [0.0, 0.259]
    """
    if not 0 <= value <= 1:
        raise ValueError(f"a rate lies in [0, 1], found {value}")
    return score_interval(value, jackknife_variance(left_out), left_out.size - 1, left_out.size, level)


def score_interval(value: float, variance: float, freedom: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of `rate_interval` for any estimate of the variance.

    Args:
        value: a rate, in [0, 1].
        variance: of the value; 0 where every sample gave the same.
        freedom: degrees of freedom of that variance.
        n: people, for the rule of three.
        level: in (0, 1).

    >>> [round(end, 3) for end in score_interval(0.2, 0.005, 4, 5)]
    [0.073, 0.444]
    """
    quantile = float(stdtrit(freedom, (1 + level) / 2))
    if value in (0, 1):
        reach = min(1.0, max(rule_of_three(n, level), quantile * np.sqrt(variance)))
        return (0.0, reach) if value == 0 else (1.0 - reach, 1.0)
    shrinkage = quantile**2 * variance / (value * (1 - value))  # t^2 / effective number of people
    centre = (value + shrinkage / 2) / (1 + shrinkage)
    half = np.sqrt(shrinkage * value * (1 - value) + shrinkage**2 / 4) / (1 + shrinkage)
    return float(min(max(centre - half, 0.0), value)), float(max(min(centre + half, 1.0), value))


def jackknife_interval(value: float, left_out: Floats, level: float = 0.95) -> tuple[float, float]:
    """Symmetric interval of an unbounded quantity over people: value +- t times the jackknife's standard error.

    For a mean over people this is Student's interval.

    Args:
        value: estimate from all people.
        left_out: (n,), the estimates with each person left out.
        level: in (0, 1).

    Raises:
        ValueError: fewer than 3 people, or an undefined left-out estimate.

    Source: Tukey (1958); Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 11.

    >>> people = np.array([-1.0, 0.0, 1.0])
    >>> [round(end, 3) for end in jackknife_interval(people.mean(), (people.sum() - people) / 2)]
    [-2.484, 2.484]
    """
    _, variance, quantile = _spread(left_out, level)
    half = quantile * np.sqrt(variance)
    return float(value - half), float(value + half)


class PairedDifference(NamedTuple):
    """How far one estimate lies above another from the same people.

    Attributes:
        value: first minus second.
        low, high: ends of the interval.
        p_value: two-sided, of no difference, in (0, 1].
    """

    value: float
    low: float
    high: float
    p_value: float


def paired_difference(
    value_a: float, left_out_a: Floats, value_b: float, left_out_b: Floats, level: float = 0.95
) -> PairedDifference:
    """Compare two estimates from the same people, by Student's t on the jackknife of their difference.

    What makes a person easy or hard moves both estimates, and cancels. The p-value is below 1 - level exactly where
    the interval leaves 0 out, and is not bounded by a number of resamples, so it survives a correction for many
    comparisons. Where all people differ by exactly the same amount the variance is unknown: then the interval reaches
    towards 0 by the rule of three, and the p-value is that of the sign test.

    Args:
        value_a: first estimate, from all people.
        left_out_a: (n,), first estimates with each person left out.
        value_b: second estimate, from all people.
        left_out_b: (n,), second estimates, in the same order of people.
        level: in (0, 1).

    Raises:
        ValueError: different people, fewer than 3, or an undefined left-out estimate.

    >>> a, b = np.array([0.9, 0.8, 0.7, 0.9]), np.array([0.5, 0.5, 0.3, 0.4])
    >>> found = paired_difference(a.mean(), (a.sum() - a) / 3, b.mean(), (b.sum() - b) / 3)
    >>> [round(number, 3) for number in found]
    [0.4, 0.27, 0.53, 0.002]
    """
    if left_out_a.shape != left_out_b.shape:
        raise ValueError(f"expected estimates from the same people, found {left_out_a.size} and {left_out_b.size}")
    difference = float(value_a - value_b)
    left_out = left_out_a - left_out_b
    n, variance, _ = _spread(left_out, level)
    if np.sqrt(variance) > 1e-12 * max(1.0, abs(difference)):
        low, high = jackknife_interval(difference, left_out, level)
        p_value = 2 * stdtr(n - 1, -abs(difference) / np.sqrt(variance))
        return PairedDifference(difference, low, high, float(max(p_value, np.finfo(np.float64).tiny)))
    if difference == 0:
        return PairedDifference(0.0, 0.0, 0.0, 1.0)
    inner = difference - float(np.copysign(rule_of_three(n, level), difference))
    return PairedDifference(difference, min(difference, inner), max(difference, inner), 2.0 ** (1 - n))


def _spread(left_out: Floats, level: float) -> tuple[int, float, float]:
    """Number of people, jackknife variance, and two-sided quantile of Student's t."""
    n = left_out.size
    return n, jackknife_variance(left_out), float(stdtrit(n - 1, (1 + level) / 2))


def jackknife_variance(left_out: Floats) -> float:
    """Variance of an estimate over people by the delete-one jackknife.

    Args:
        left_out: (n,), the estimates with each person left out.

    Raises:
        ValueError: fewer than 3 people, or an undefined left-out estimate.

    >>> people = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    >>> round(jackknife_variance((people.sum() - people) / 4), 6)  # of a mean: that of the people, divided by 5
    0.005
    """
    n = left_out.size
    if n < 3:
        raise ValueError(f"an interval over people needs at least 3, found {n}")
    if not np.isfinite(left_out).all():
        lacking = np.flatnonzero(~np.isfinite(left_out)).tolist()
        raise ValueError(f"no estimate is defined without the people {lacking}: too few people with pairs")
    return float((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2))


def holm(p_values: ArrayLike) -> Floats:
    """Adjust p-values for the number of comparisons, keeping the chance of any false rejection below the level.

    Args:
        p_values: (N,) in [0, 1], of comparisons that may depend on each other in any way.

    Returns:
        (N,) in [0, 1], in the order given; a comparison is significant at a level if its adjusted p-value is at most
        that level.

    Raises:
        ValueError: a p-value is not in [0, 1].

    Source: Holm, "A simple sequentially rejective multiple test procedure" (Scandinavian Journal of Statistics, 1979).

    >>> holm([0.01, 0.04, 0.03, 0.005])
    array([0.03, 0.06, 0.06, 0.02])
    """
    p = np.asarray(p_values, dtype=np.float64).ravel()
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p-values must lie in [0, 1]")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1.0)
    return adjusted


def minimum_far(n_impostor_pairs: int, min_false_accepts: int) -> float:
    """Smallest FAR at which a number of false accepts is still expected.

    Args:
        n_impostor_pairs: independent impostor comparisons.
        min_false_accepts: expected false accepts below which a threshold would rest on too few impostors.

    Returns:
        In (0, 1).

    Raises:
        ValueError: there are not more pairs than false accepts, so no FAR below 1 is allowed.

    >>> minimum_far(4500, 30)
    0.006666666666666667
    """
    if n_impostor_pairs <= min_false_accepts:
        raise ValueError(f"{n_impostor_pairs} impostor pairs cannot give {min_false_accepts} false accepts at FAR < 1")
    return min_false_accepts / n_impostor_pairs
