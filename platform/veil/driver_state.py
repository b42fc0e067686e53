"""What the driver of a sweep publishes of itself in the study folder, readable without Ray or MLflow."""

import json
from typing import Literal

from veil.atomic import replace_when_complete
from veil.config import Settings
from veil.errors import ConfigError, VeilError
from veil.study import StudyFolder

PUBLISHED = "driver.json"


class NodeState(Settings):
    """A machine that runs trials.

    Attributes:
        host: its name.
        cpus, gpus: how many it offers to trials.
        cpus_used, gpus_used: how many of them trials hold.
        memory_bytes: that its trials can share.
        memory_used_bytes: in use on the machine by whatever it runs; known of the driver's own.
    """

    host: str
    cpus: float
    cpus_used: float
    gpus: float = 0.0
    gpus_used: float = 0.0
    memory_bytes: int = 0
    memory_used_bytes: int | None = None


class DrivenTrial(Settings):
    """A trial that the driver has handed out.

    Attributes:
        number: of the trial.
        label: which method it is.
        images: that its training sees; None where it trains nothing.
        images_seen: as far as its process has reported.
    """

    number: int
    label: str
    images: int | None = None
    images_seen: int | None = None


class DriverState(Settings):
    """The driver as it was when it last wrote; a killed one stays "running", and `updated` grows old.

    Attributes:
        host: on which it runs.
        process: its id there.
        started, updated: Unix times.
        outcome: "interrupted" if trials are left, "failed" if an error ended it.
        error: that error.
        joined: address by which it has joined a cluster; None on one machine.
        ray_address: of Ray's control store; None before Ray is there.
        dashboard: address of Ray's dashboard, as seen from `host`; None without one.
        nodes: alive.
        running: trials with a process.
        queued: trials that are sampled and wait for free resources.
    """

    host: str
    process: int
    started: float
    updated: float
    outcome: Literal["running", "finished", "interrupted", "failed"] = "running"
    error: str | None = None
    joined: str | None = None
    ray_address: str | None = None
    dashboard: str | None = None
    nodes: tuple[NodeState, ...] = ()
    running: tuple[DrivenTrial, ...] = ()
    queued: tuple[DrivenTrial, ...] = ()


def write_driver_state(folder: StudyFolder, state: DriverState) -> None:
    """Publish the state; whole or not at all.

    Raises:
        DataError: the folder cannot be written.
    """
    with replace_when_complete(folder.path / PUBLISHED) as temporary:
        temporary.write_text(state.model_dump_json(indent=2), encoding="utf-8")


def read_driver_state(folder: StudyFolder) -> DriverState | None:
    """State of the study's last driver; None if none has published one.

    Raises:
        VeilError: the file is damaged, or another version of Veil wrote it.
    """
    path = folder.path / PUBLISHED
    try:
        return DriverState.parse(json.loads(path.read_bytes()), where=PUBLISHED)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ConfigError) as error:
        raise VeilError(
            f"cannot read {path}: {error}; it is damaged or of another version of Veil: the next `veil resume` writes "
            "it anew"
        ) from None
