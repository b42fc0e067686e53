"""One trial as a point of the trade-off, free of how it was run or stored."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from veil.errors import ProtocolError
from veil.objectives import Objective


class Interval(NamedTuple):
    """A measured value with its 95 % interval; `low == high == value` where the value is exact.

    Attributes:
        value: the estimate.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Text for tables.

        >>> str(Interval(0.42, 0.3, 0.55))
        '0.42 [0.30, 0.55]'
        """
        if self.low == self.high == self.value:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, kw_only=True)
class FrontierPoint:
    """What a frontier knows of one trial.

    Attributes:
        trial: number of the trial in its study.
        label: short name of the configuration, for example "pixels λ_id=6".
        family: group of methods, for example "gan".
        trainable: registered trainable.
        conditioning: what the generator sees; None where that has no meaning.
        valid: whether the protocol accepted the trial.
        stopped: whether it is not valid only because it was stopped early.
        reason: why it is not valid.
        synthetic: whether the values come from a problem without faces.
        objectives: (value, low, high) by objective name; may be empty where the trial is not valid.
        extras: further measured numbers by name, for example "proxy_cosine" or "control".
        strongest: the rung that sets the leak, for example "parrot".
        sampled: settings that the search varied, by the names that its space asked for them under.

    Raises:
        ProtocolError: a valid point holds a value that is not a number.
        ValueError: an invalid point gives no reason.
    """

    trial: int
    label: str
    family: str
    trainable: str
    conditioning: str | None = None
    valid: bool = True
    stopped: bool = False
    reason: str | None = None
    synthetic: bool = False
    objectives: Mapping[str, Interval | tuple[float, float, float]] = field(default_factory=dict)
    extras: Mapping[str, float] = field(default_factory=dict)
    strongest: str | None = None
    sampled: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        intervals = {name: Interval(*interval) for name, interval in self.objectives.items()}
        object.__setattr__(self, "objectives", intervals)
        if not self.valid:
            if not self.reason:
                raise ValueError(f"trial {self.trial} is not valid but gives no reason")
            return
        for name, interval in intervals.items():
            if any(math.isnan(number) for number in interval):
                raise ProtocolError(
                    f"trial {self.trial} is valid but its {name} is {tuple(interval)}; a value that cannot be measured "
                    "makes the trial invalid"
                )

    def interval(self, name: str) -> Interval:
        """Value and interval of one objective.

        Raises:
            ProtocolError: the point does not hold that objective.
        """
        if name not in self.objectives:
            held = ", ".join(self.objectives) or "none"
            raise ProtocolError(f"trial {self.trial} holds no objective {name!r}; it holds: {held}")
        return Interval(*self.objectives[name])


def loss_matrix(points: Sequence[FrontierPoint], objectives: Sequence[Objective]) -> np.ndarray:
    """Objective values of N points, turned so that smaller is better.

    Args:
        points: N points that hold every objective.
        objectives: the M axes.

    Returns:
        float64 (N, M), one column an objective; (0, M) without points.
    """
    rows = [[objective.as_loss(point.interval(objective.name).value) for objective in objectives] for point in points]
    return np.array(rows, dtype=np.float64).reshape(len(points), len(objectives))
