"""The driver's sign of life: what it runs, where, and on which resources, published in the study folder."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import ray
from ray._private.state import available_resources_per_node
from ray._private.worker import get_dashboard_url
from ray.tune import Callback as TuneCallback

from veil.config import StudyConfig
from veil.driver_state import DrivenTrial, DriverState, NodeState, write_driver_state
from veil.errors import DataError
from veil.study import StudyFolder
from veil.sweep.keys import NUMBER, PROGRESS_IMAGES
from veil.sweep.space import load_trainable

EVERY_SECONDS = 5.0


class Heartbeat(TuneCallback):
    """Publishes the driver's state when it starts, at most every `EVERY_SECONDS` while Tune runs, and when it ends.

    Only Tune's own loop looks at Ray: asked when it has been shut down, Ray would start anew.

    Args:
        config: of the study.
        folder: of the study.
        address: of the cluster that the driver joins; None on one machine.
        clock: Unix time.
    """

    def __init__(
        self,
        config: StudyConfig,
        folder: StudyFolder,
        address: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._trials = config.search.trials
        self._folder = folder
        self._clock = clock
        now = clock()
        self._state = DriverState(
            host=socket.gethostname(), process=os.getpid(), started=now, updated=now, joined=address
        )

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks to restore an experiment, and Veil continues from its own records."""
        return {}

    def __enter__(self) -> Self:
        self._publish()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        gone: dict[str, Any] = {"nodes": (), "running": (), "queued": (), "dashboard": None, "ray_address": None}
        if isinstance(error, Exception):
            self._publish(outcome="failed", error=f"{type(error).__name__}: {error}", **gone)
            return
        finished = len(self._folder.finished())
        self._publish(outcome="finished" if finished >= self._trials else "interrupted", **gone)

    def on_step_end(self, iteration: int, trials: list, **info: Any) -> None:
        """Tune has done something, or waited for a moment."""
        if self._clock() - self._state.updated >= EVERY_SECONDS or not self._state.nodes:
            self._publish(
                **ray_state(),
                running=tuple(_driven(trial) for trial in trials if trial.status == "RUNNING"),
                queued=tuple(_driven(trial) for trial in trials if trial.status == "PENDING"),
            )

    def _publish(self, **changes: Any) -> None:
        self._state = self._state.model_copy(update={**changes, "updated": self._clock()})
        # A full disk must not end a sweep for the sake of its picture; `veil status` tells that the driver is silent.
        with suppress(DataError):
            write_driver_state(self._folder, self._state)


def ray_state() -> dict[str, Any]:
    """Fields of `DriverState` that the running Ray tells."""
    return {
        "nodes": _alive_nodes(),
        "ray_address": ray.get_runtime_context().gcs_address,
        "dashboard": get_dashboard_url() or None,
    }


def _alive_nodes() -> tuple[NodeState, ...]:
    import psutil  # Ray ships it, and makes it importable when it is imported itself.

    available, own = available_resources_per_node(), ray.get_runtime_context().get_node_id()
    nodes = []
    for node in ray.nodes():
        # A node that has just joined may not have told yet what is available.
        if node["Alive"]:
            total = node["Resources"]
            free = available.get(node["NodeID"], total)
            cpus, gpus = total.get("CPU", 0.0), total.get("GPU", 0.0)
            nodes.append(
                NodeState(
                    host=node["NodeManagerHostname"],
                    cpus=cpus,
                    cpus_used=round(cpus - free.get("CPU", 0.0), 2),
                    gpus=gpus,
                    gpus_used=round(gpus - free.get("GPU", 0.0), 2),
                    memory_bytes=int(total.get("memory", 0)),
                    memory_used_bytes=psutil.virtual_memory().used if node["NodeID"] == own else None,
                )
            )
    return tuple(sorted(nodes, key=lambda node: node.host))


def _driven(trial: Any) -> DrivenTrial:
    trainable = load_trainable(trial.config["trainable"])
    params = trial.config["params"]
    return DrivenTrial(
        number=trial.config[NUMBER],
        label=trainable.label(trainable.Config.model_validate(params)),
        images=params.get("images"),
        images_seen=(trial.last_result or {}).get(PROGRESS_IMAGES),
    )
