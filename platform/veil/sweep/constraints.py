"""Constraints on objectives, as the sampler is told of them."""

from collections.abc import Mapping

from veil.objectives import get_objective
from veil.protocol.score import Estimate


def violations(estimates: Mapping[str, Estimate], constraints: Mapping[str, float]) -> dict[str, float]:
    """How far objectives are beyond the worst value that is of use; 0 or less keeps a constraint.

    Args:
        estimates: objectives by name; one that is missing is not judged.
        constraints: worst value by objective.

    >>> half = Estimate(value=0.5, low=0.4, high=0.6)
    >>> violations({"leak": half, "utility": half}, {"leak": 0.25, "utility": 0.25})
    {'leak': 0.25, 'utility': -0.25}
    """
    return {
        name: get_objective(name).as_loss(estimates[name].value) - get_objective(name).as_loss(worst)
        for name, worst in constraints.items()
        if name in estimates
    }
