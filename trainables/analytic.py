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
        fail: what happens after that time: nothing (None), divergence, an unexpected error, or the sudden death of
            the process, as when it runs out of memory.
    """

    x: float = Field(0.5, ge=0, le=1)
    y: float = Field(0.0, ge=0, le=1)
    sleep_seconds: float = Field(0.0, ge=0)
    fail: Literal["diverged", "error", "killed"] | None = None


@trainables.register("analytic")
class Analytic:
    """leak = x + y - x·y and utility = √x · (1 - y).

    Moving along x trades one for the other and moving along y worsens both, so the front is y = 0, that is
    utility = √leak for leak in [0, 1]. With the reference point leak 1, utility 0 its hypervolume is
    ∫₀¹ √l dl = 2/3, and that of the n points x = i/n, i = 1 … n, is the lower Riemann sum Σ √(i/n) / n, i < n.
    """

    family = "analytic"
    needs_faces = False
    Config = AnalyticConfig

    def run(self, config: AnalyticConfig, context: TrialContext) -> TrialOutcome:
        """Wait, then fail as told or return the values.

        Raises:
            DivergedError: the configuration asks for it.
            RuntimeError: the configuration asks for an unexpected error.
        """
        time.sleep(config.sleep_seconds)
        if config.fail == "diverged":
            raise DivergedError("the analytic trial was told to diverge (fail: diverged)")
        if config.fail == "error":
            raise RuntimeError("the analytic trial was told to fail (fail: error)")
        if config.fail == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        leak, utility = evaluate(config.x, config.y)
        return TrialOutcome(synthetic={"leak": leak, "utility": utility}, seconds={"train": config.sleep_seconds})

    def load(self, config: AnalyticConfig, folder: Path) -> Anonymizer:
        """A formula anonymizes nothing.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{folder} is a trial of the analytic problem: it holds no anonymizer; pick another trial")

    def label(self, config: AnalyticConfig) -> str:
        """Coordinates of the point."""
        return f"analytic x={config.x:.2f} y={config.y:.2f}"


def evaluate(x: float, y: float) -> tuple[float, float]:
    """Leak and utility at a point, both in [0, 1].

    >>> evaluate(0.25, 0.0)
    (0.25, 0.5)
    """
    return x + y - x * y, x**0.5 * (1 - y)
