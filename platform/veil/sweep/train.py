"""Ray Train behind the launcher contract: the training loop itself never sees Ray."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device
from ray.tune.integration.ray_train import TuneReportCallback

from veil.errors import ConfigError, DivergedError
from veil.runtime import Report, Runtime
from veil.sweep.keys import PROGRESS_IMAGES


class RayTrainLauncher:
    """Runs a training function on several workers through a TorchTrainer.

    Args:
        workers: number of training workers.
        storage: folder that every node reaches, for Ray Train's own state.
        name: name of the training run.
        cpus_per_worker: CPU cores of each worker.
        gpus_per_worker: GPUs of each worker; 0 trains on the CPU with gloo.
        max_failures: how often all workers are started again after one has died; they go on from their checkpoint.
        inside_tune: whether reports go on to the Tune trial that this runs in.
        autocast_dtype: as in Runtime.
        report: picklable; the first worker calls it with whatever is reported.
    """

    def __init__(
        self,
        workers: int,
        storage: Path,
        name: str,
        cpus_per_worker: int = 1,
        gpus_per_worker: float = 0.0,
        max_failures: int = 0,
        inside_tune: bool = True,
        autocast_dtype: torch.dtype | None = None,
        report: Report | None = None,
    ) -> None:
        self.workers = workers
        self._storage = storage
        self._name = name
        self._resources = {"CPU": cpus_per_worker, **({"GPU": gpus_per_worker} if gpus_per_worker else {})}
        self._max_failures = max_failures
        self._inside_tune = inside_tune
        self._autocast_dtype = autocast_dtype
        self._report = report
        self._launched = 0

    def __call__(self, train: Callable[[Runtime], None]) -> None:
        """Run `train` on every worker and wait.

        Raises:
            DivergedError: a worker's loss was not finite.
        """
        # Ray Train takes a name that it knows for a run to be continued.
        name = self._name if self._launched == 0 else f"{self._name}-{self._launched}"
        self._launched += 1
        diverged = self._storage.resolve() / f"{name}.diverged"
        diverged.parent.mkdir(parents=True, exist_ok=True)
        diverged.unlink(missing_ok=True)
        trainer = TorchTrainer(
            _run_worker,
            train_loop_config={
                "train": train,
                "diverged": diverged,
                "autocast_dtype": self._autocast_dtype,
                "report": self._report,
            },
            scaling_config=ScalingConfig(
                num_workers=self.workers,
                use_gpu="GPU" in self._resources,
                resources_per_worker=self._resources,
            ),
            run_config=RunConfig(
                name=name,
                storage_path=str(self._storage.resolve()),
                failure_config=FailureConfig(max_failures=self._max_failures),
                # Ray types this list for callbacks of an older kind than the one it ships.
                callbacks=[TuneReportCallback()] if self._inside_tune else [],  # type: ignore[list-item]
            ),
        )
        trainer.fit()
        if diverged.exists():
            raise DivergedError(diverged.read_text(encoding="utf-8"))


@contextmanager
def ray_for(workers: int) -> Iterator[None]:
    """Ray on this machine, with a core for each of some training workers, for a training outside of studies.

    Raises:
        ConfigError: the machine has fewer cores.
    """
    available = os.cpu_count() or 1
    if workers > available:
        raise ConfigError(f"{workers} workers need as many CPU cores, this machine has {available}; lower --workers")
    ray.init("local", num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def _run_worker(config: dict[str, Any]) -> None:
    context = ray.train.get_context()

    def report(metrics: dict[str, float], images_seen: int) -> None:
        if config["report"] is not None and context.get_world_rank() == 0:
            config["report"](metrics, images_seen)
        ray.train.report({PROGRESS_IMAGES: images_seen, **metrics})

    runtime = Runtime(
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        device=get_device(),
        report=report,
        autocast_dtype=config["autocast_dtype"],
    )
    try:
        config["train"](runtime)
    except DivergedError as error:
        # Ray Train would take a raised error for a fault and wrap it; its results lack metrics without checkpoints.
        # All workers see the same reduced loss, so all of them end here.
        if runtime.is_main:
            config["diverged"].write_text(str(error), encoding="utf-8")
