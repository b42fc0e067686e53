"""A problem with a known front and no faces, for testing schedulers, storage and plots."""

from collections.abc import Sequence
from typing import Any

from optuna import Trial

from veil.interfaces import Anchor
from veil.registry import search_spaces


@search_spaces.register("analytic")
class AnalyticSpace:
    """Both coordinates of the analytic trainable."""

    trainables = ("analytic",)

    def anchors(self) -> Sequence[Anchor]:
        """None: the sampler starts alone."""
        return ()

    def suggest(self, trial: Trial, trainable: str) -> dict[str, Any]:
        """Position along the front (x) and distance from it (y)."""
        return {"x": trial.suggest_float("x", 0.0, 1.0), "y": trial.suggest_float("y", 0.0, 1.0)}
