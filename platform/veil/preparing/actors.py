"""Parts made by Ray actors: each loads its nets once, and holds one part at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.util import ActorPool

from veil.cluster.joining import QUIET, join_cluster
from veil.datasets.dataset import SourceImage
from veil.errors import DataError, VeilError
from veil.faces.storage import TableFolder
from veil.preparing.parts import PartMaker, PartResult
from veil.preparing.plan import Plan, Recipe

DEATHS_TOLERATED = 2
"""Of one worker; machines come and go."""

_OBJECT_STORE_BYTES = 100 * 1024**2
"""Workers get paths and return counts; nothing large passes through Ray."""


class _Worker:
    def __init__(self, recipe: Recipe, contract_hash: str, folder: TableFolder) -> None:
        import cv2
        import torch

        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        # What goes wrong in an actor's constructor reaches the driver as its death, not as the error it was.
        self._maker = cache(lambda: PartMaker(recipe, contract_hash, folder))

    def make(self, part: int, images: Sequence[tuple[SourceImage, str]]) -> PartResult:
        return self._maker().make(part, images)


def make_parts(plan: Plan, parts: Sequence[int], workers: int | None, address: str | None) -> Iterator[PartResult]:
    """Make parts on actors, as they come; an actor gets the next part when it has finished one.

    Args:
        plan: what to make them of.
        parts: which ones.
        workers: actors with a core each; None takes all cores of the machine or cluster.
        address: Ray cluster to join ("auto" on its head); None starts Ray on this machine, unless it runs already.

    Raises:
        DataError: a worker died again and again, the folder cannot be written, or a worker's machine does not reach it.
        AssetError: weights cannot be had.
    """
    with _running_ray(workers, address):
        cores = int(ray.cluster_resources().get("CPU", 1))
        count = min(workers or cores, len(parts))
        gpus = ray.cluster_resources().get("GPU", 0) / count if plan.recipe.device != "cpu" else 0
        actor = ray.remote(
            num_cpus=min(1, cores / count),
            num_gpus=gpus,
            max_restarts=DEATHS_TOLERATED,
            max_task_retries=DEATHS_TOLERATED,
        )(_Worker)
        pool = ActorPool([actor.remote(plan.recipe, plan.contract.hash, plan.folder) for _ in range(count)])

        def submit(worker: Any, part: int) -> ray.ObjectRef:
            return worker.make.remote(part, plan.part(part))

        results = pool.map_unordered(submit, list(parts))
        while (result := _next(results)) is not None:
            yield result
    unseen = [part for part in parts if not plan.folder.columns_path(part).exists()]
    if unseen:
        raise DataError(
            f"{len(unseen)} parts were written by workers on other machines and are not in {plan.folder.path} here; "
            "set VEIL_CACHE to a folder that all machines share"
        )


def _next(results: Iterator[PartResult]) -> PartResult | None:
    try:
        return next(results, None)
    except RayTaskError as error:
        if isinstance(error.cause, VeilError):
            raise error.cause from None
        raise
    except RayActorError as error:
        raise DataError(
            f"a worker died {DEATHS_TOLERATED + 1} times ({str(error).strip().splitlines()[0]}); finished parts are "
            "kept: run `veil prepare` again, with fewer --workers if memory was short"
        ) from error


@contextmanager
def _running_ray(workers: int | None, address: str | None) -> Iterator[None]:
    """Join Ray where it runs; start it here, and stop it afterwards, where it does not."""
    if ray.is_initialized():
        yield
        return
    if address is not None:
        join_cluster(address)
    else:
        ray.init("local", num_cpus=workers, include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES, **QUIET)
    try:
        yield
    finally:
        ray.shutdown()
