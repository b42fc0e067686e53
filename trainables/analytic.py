"""A two-objective problem whose front and hypervolume are known, for tests of everything around a trainable."""

import os
import signal
import time
from pathlib import Path
from typing import Literal

from pydantic import Field

from veil.config import Settings
from veil.errors import ConfigError, DivergedError
from veil.interfaces import Anonymizer, TrialContext, TrialOutcome
from veil.registry import trainables

FRONT_HYPERVOLUME = 2 / 3
"""Hypervolume of the whole front with the reference point leak 1, utility 0."""


class AnalyticConfig(Settings):
    """A point of the problem, and what should go wrong with it.

    Attributes:
        x: position along the front.
        y: distance from it.
        sleep_seconds: how long the trial takes.
        images: length of the training, of which nothing but early stopping takes notice.
        late: how much later points with a large x learn than others; at 1 an early look is wrong about them.
        fail: what happens after that time: nothing (None), divergence, an unexpected error, the sudden death of the
            process, or a growth that takes all memory.
    """

    x: float = Field(0.5, ge=0, le=1)
    y: float = Field(0.0, ge=0, le=1)
    sleep_seconds: float = Field(0.0, ge=0)
    images: int = Field(81, ge=1)
    late: float = Field(0.25, ge=0)
    fail: Literal["diverged", "error", "killed", "memory"] | None = None


@trainables.register("analytic")
class Analytic:
    """leak = x + y - x·y and utility = √x · (1 - y).

    Moving along x trades one for the other and moving along y worsens both, so the front is y = 0, that is
    utility = √leak for leak in [0, 1]. With the reference point leak 1, utility 0 its hypervolume is
    ∫₀¹ √l dl = 2/3, and that of the n points x = i/n, i = 1 … n, is the lower Riemann sum Σ √(i/n) / n, i < n.

    A training comes from the worst, y = 1, and ends at its own y.
    """

    family = "analytic"
    needs_faces = False
    stoppable = True
    Config = AnalyticConfig

    def run(self, config: AnalyticConfig, context: TrialContext) -> TrialOutcome:
        """Wait, with a look at each rung, then fail as told or return the values.

        Raises:
            DivergedError: the configuration asks for it.
            RuntimeError: the configuration asks for an unexpected error.
            MemoryError: it asks for more memory than there is, and nobody has ended the process meanwhile.
            StoppedEarlyError: the trial is not promising at a rung.
        """
        seen = 0
        for rung in context.rungs:
            time.sleep(config.sleep_seconds * (rung - seen) / config.images)
            seen = rung
            leak, utility = evaluate(config.x, distance(config, seen / config.images))
            context.at_rung(TrialOutcome(synthetic={"leak": leak, "utility": utility}), rung)
        time.sleep(config.sleep_seconds * (config.images - seen) / config.images)
        if config.fail == "diverged":
            raise DivergedError("the analytic trial was told to diverge (fail: diverged)")
        if config.fail == "error":
            raise RuntimeError("the analytic trial was told to fail (fail: error)")
        if config.fail == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if config.fail == "memory":
            _grow()
        leak, utility = evaluate(config.x, config.y)
        return TrialOutcome(
            synthetic={"leak": leak, "utility": utility},
            seconds={"train": config.sleep_seconds},
            trainings={f"trial-{context.folder.name}": config.images},
        )

    def load(self, config: AnalyticConfig, folder: Path) -> Anonymizer:
        """A formula anonymizes nothing.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{folder} is a trial of the analytic problem: it holds no anonymizer; pick another trial")

    def label(self, config: AnalyticConfig) -> str:
        """Coordinates of the point."""
        return f"analytic x={config.x:.2f} y={config.y:.2f}"


def _grow() -> None:
    taken = []
    while True:
        taken.append(b"x" * 2**26)
        time.sleep(0.05)


def evaluate(x: float, y: float) -> tuple[float, float]:
    """Leak and utility at a point, both in [0, 1].

    >>> evaluate(0.25, 0.0)
    (0.25, 0.5)
    """
    return x + y - x * y, x**0.5 * (1 - y)


def distance(config: AnalyticConfig, share: float) -> float:
    """Distance from the front after a share of the training, in [y, 1]; it falls from 1 to y.

    >>> [round(distance(AnalyticConfig(x=0.5, y=0.2), share), 3) for share in (0.0, 0.5, 1.0)]
    [1.0, 0.383, 0.2]
    """
    return config.y + (1 - config.y) * (1 - share ** (0.25 + config.late * config.x))
