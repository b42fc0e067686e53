"""How a training function runs: alone, on several workers, on a GPU; it never knows which."""

from veil.runtime.checkpoint import (
    latest_checkpoint,
    load_checkpoint,
    load_weights,
    remove_checkpoints,
    save_checkpoint,
    save_weights,
)
from veil.runtime.ema import ExponentialMovingAverage
from veil.runtime.launcher import Launcher, LocalLauncher
from veil.runtime.runtime import Report, Runtime, never, silent

__all__ = [
    "ExponentialMovingAverage",
    "Launcher",
    "LocalLauncher",
    "Report",
    "Runtime",
    "latest_checkpoint",
    "load_checkpoint",
    "load_weights",
    "never",
    "remove_checkpoints",
    "save_checkpoint",
    "save_weights",
    "silent",
]
