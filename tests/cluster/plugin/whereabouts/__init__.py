"""A plug-in of a user's own: a trial that writes down which host each of its training workers runs on."""

import socket
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from optuna import Trial
from pydantic import Field

from veil.config import Settings
from veil.errors import ConfigError
from veil.interfaces import Anchor, Anonymizer, TrialContext, TrialOutcome
from veil.registry import search_spaces, trainables
from veil.runtime import Runtime


class WhereaboutsConfig(Settings):
    """A point of utility = √leak.

    Attributes:
        x: leak.
        seconds: how long the training takes.
    """

    x: float = Field(ge=0, le=1)
    seconds: float = Field(1.0, ge=0)


@trainables.register("whereabouts")
class Whereabouts:
    """Trains nothing, on as many workers as the study asks for, which find each other over the network."""

    family = "whereabouts"
    needs_faces = False
    Config = WhereaboutsConfig

    def run(self, config: WhereaboutsConfig, context: TrialContext) -> TrialOutcome:
        """Have each worker leave a file `worker-RANK` with its host and the number of workers that it counted."""
        context.launcher(partial(_meet, context.folder, config.seconds))
        return TrialOutcome(synthetic={"leak": config.x, "utility": config.x**0.5})

    def load(self, config: WhereaboutsConfig, folder: Path) -> Anonymizer:
        """Nothing is anonymized.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("whereabouts anonymizes nothing")

    def label(self, config: WhereaboutsConfig) -> str:
        """The point."""
        return f"whereabouts x={config.x:.2f}"


@search_spaces.register("whereabouts")
class WhereaboutsSpace:
    """The point alone."""

    trainables = ("whereabouts",)

    def anchors(self) -> Sequence[Anchor]:
        """None."""
        return ()

    def suggest(self, trial: Trial, trainable: str) -> dict[str, Any]:
        """The point."""
        return {"x": trial.suggest_float("x", 0.0, 1.0)}


def _meet(folder: Path, seconds: float, runtime: Runtime) -> None:
    counted = torch.ones(1)
    if runtime.world_size > 1:
        torch.distributed.all_reduce(counted)
    time.sleep(seconds)
    (folder / f"worker-{runtime.rank}").write_text(f"{socket.gethostname()} {counted.item():.0f}", encoding="utf-8")
