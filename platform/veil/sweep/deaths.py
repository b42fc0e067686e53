"""How a trial's process ended that left no record: what Ray says of it, in one line."""

from functools import wraps
from pathlib import Path
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

from veil.errors import StorageError

OUT_OF_MEMORY = (
    "out of memory: Ray ended the trial's process before the machine ran out; lower search.max_concurrent_trials or "
    "the trainable's batch_size"
)


_CAUSE = "The actor is dead because "


def cause_of_death(trial: Any) -> str:
    """What ended a Tune trial's process last, in one line, from the error file that Tune keeps.

    Raises:
        StorageError: a disk did, which no other trial could write to either.
    """
    failures = Path(trial.error_file).read_text(encoding="utf-8").split("Failure # ")
    _, *lines = failures[-1].strip().splitlines() or [""]
    marker = f"{StorageError.__name__}: "
    for line in reversed(lines):
        if marker in line:
            raise StorageError(line.partition(marker)[2])
    for line in lines:
        if line.startswith(_CAUSE):
            return line.removeprefix(_CAUSE).partition(". ")[0]
    return lines[0] if lines else "its process died"


def take_lack_of_memory_for_death() -> None:
    """Let Tune deal with a process that Ray's memory monitor ended as with any other that died: try the trial again.

    Tune knows an actor's death by `RayActorError`, of which `OutOfMemoryError` is none, and ends the whole experiment
    with "Caught unexpected exception".
    """
    handle = RayActorManager._actor_task_failed
    if hasattr(handle, "__wrapped__"):
        return

    @wraps(handle)
    def handle_death(manager: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            exception = RayActorError(error_msg=f"{OUT_OF_MEMORY}\n{exception}")
        handle(manager, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = handle_death  # type: ignore[assignment, method-assign]
