"""What a trial's process died of, from the words of Ray."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayActorError

from veil.errors import StorageError
from veil.sweep import deaths
from veil.sweep.deaths import cause_of_death, take_lack_of_memory_for_death

KILLED = """Failure # 1 (occurred at 2026-11-22_10-00-00)
The actor died unexpectedly before finishing this task.
\tclass_name: ImplicitFunc
\tpid: 4711
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: End of file.
"""
LOST = """Failure # 2 (occurred at 2026-11-22_10-01-00)
The actor died unexpectedly before finishing this task.
The actor is dead because its node has died. Node Id: 17
"""
FULL = """Failure # 3 (occurred at 2026-11-22_10-02-00)
\x1b[36mray::ImplicitFunc.train()\x1b[39m (pid=1)
  File "trial.py", line 1, in run_trial
veil.errors.StorageError: cannot write to studies/toy: No space left on device; make room
"""


def died(folder: Path, *failures: str) -> SimpleNamespace:
    path = folder / "error.txt"
    path.write_text("".join(failures), encoding="utf-8")
    return SimpleNamespace(error_file=str(path))


def test_the_last_death_counts(tmp_path: Path) -> None:
    assert cause_of_death(died(tmp_path, KILLED)) == "its worker process has died"
    assert cause_of_death(died(tmp_path, KILLED, LOST)) == "its node has died"


def test_a_full_disk_is_raised(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="^cannot write to studies/toy: No space left on device; make room$"):
        cause_of_death(died(tmp_path, KILLED, FULL))


def test_lack_of_memory_is_a_death_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Exception] = []

    def handle(manager: object, tracked_actor_task: object, exception: Exception) -> None:
        heard.append(exception)

    monkeypatch.setattr(RayActorManager, "_actor_task_failed", handle)
    for _ in range(2):  # a process may run several sweeps
        take_lack_of_memory_for_death()
    other = ActorDiedError()
    for exception in (OutOfMemoryError("5 GB used by 4711"), other):
        RayActorManager._actor_task_failed(None, tracked_actor_task=None, exception=exception)
    memory, kept = heard
    assert isinstance(memory, RayActorError) and str(memory).startswith(deaths.OUT_OF_MEMORY) and "4711" in str(memory)
    assert kept is other
