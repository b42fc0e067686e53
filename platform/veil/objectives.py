"""What a study optimises: name, direction, unit, bounds and a reference point that no data can move."""

from dataclasses import dataclass
from typing import Literal

from veil.errors import ConfigError, nearest

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Objective:
    """One axis of the trade-off.

    Attributes:
        name: key in scores, tables and MLflow (`objective/<name>`).
        direction: what a better trial does.
        unit: what one unit means, for axis labels.
        bounds: smallest and largest possible value.
        reference: the worst value that still counts, fixed for all studies so that hypervolumes compare.
    """

    name: str
    direction: Direction
    unit: str
    bounds: tuple[float, float]
    reference: float

    def as_loss(self, value: float) -> float:
        """Map a value so that smaller is better; the only place where directions are normalised.

        >>> OBJECTIVES["utility"].as_loss(0.8)
        -0.8
        """
        return value if self.direction == "minimize" else -value


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective("leak", "minimize", "worst-case TAR at the suite's FAR", (0.0, 1.0), 1.0),
        Objective("utility", "maximize", "1 - Jensen-Shannon divergence (bits)", (0.0, 1.0), 0.0),
        Objective("realism", "minimize", "kernel inception distance", (0.0, 10.0), 10.0),
    )
}


def get_objective(name: str) -> Objective:
    """Return the objective called `name`.

    Raises:
        ConfigError: there is none; the nearest is named.
    """
    if name not in OBJECTIVES:
        raise ConfigError(f"unknown objective {name!r}; {nearest(name, OBJECTIVES)}")
    return OBJECTIVES[name]
