"""Who starts a training function; the function gets a Runtime and never learns who."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch

from veil.runtime.runtime import Report, Runtime, never, silent


class Launcher(Protocol):
    """Runs a training function on one or several workers and returns when all have ended.

    Attributes:
        workers: how many; the training function sees it as `world_size`.
    """

    @property
    def workers(self) -> int:
        """Number of workers."""
        ...

    def __call__(self, train: Callable[[Runtime], None]) -> None:
        """Run `train`, which must be picklable, on every worker; an exception of a worker is raised here."""
        ...


@dataclass(frozen=True)
class LocalLauncher:
    """Runs a training function in this process.

    Attributes:
        report: takes metrics and images seen; None reports nothing.
        should_stop: whether training should end at its next checkpoint.
        device: "cpu", "cuda", …
        autocast_dtype, compile, channels_last: as in Runtime.
    """

    report: Report | None = None
    should_stop: Callable[[], bool] = never
    device: str = "cpu"
    autocast_dtype: torch.dtype | None = None
    compile: bool = False
    channels_last: bool = True
    workers: ClassVar[int] = 1

    def __call__(self, train: Callable[[Runtime], None]) -> None:
        """Run `train` here."""
        train(
            Runtime(
                device=self.device,
                report=self.report or silent,
                should_stop=self.should_stop,
                autocast_dtype=self.autocast_dtype,
                compile=self.compile,
                channels_last=self.channels_last,
            )
        )
