"""Joining a cluster: the driver's code goes to every worker, and every node must see what the study writes."""

import importlib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from veil.errors import ConfigError
from veil.registry import PLUGIN_GROUP

QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
"""Of `ray.init`: Veil shows its own progress."""


def join_cluster(address: str) -> None:
    """Connect this process to a cluster whose workers run the code that this process runs.

    Ray keeps the code on the head and hands it to each worker that starts, so it also reaches nodes that join later.
    Other packages are those of the nodes.

    Args:
        address: of the cluster; "auto" on one of its nodes.

    Raises:
        ConfigError: there is no cluster at that address, or it asks for another token.
    """
    modules = [str(folder) for folder in driver_packages()]
    try:
        ray.init(address=address, runtime_env={"py_modules": modules, "excludes": ["__pycache__/"]}, **QUIET)
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise ConfigError(
            f"cannot join the Ray cluster at {address!r}: {str(error).splitlines()[0]}; run on its head, or leave out "
            "--address to use this machine alone"
        ) from error


def driver_packages() -> list[Path]:
    """Folders of Veil and of its plug-in packages, as this process imports them."""
    names = ["veil", *(entry_point.value for entry_point in entry_points(group=PLUGIN_GROUP))]
    return [Path(importlib.import_module(name).__path__[0]).resolve() for name in dict.fromkeys(names)]


def check_nodes_see(file: Path) -> None:
    """Check that each node that offers cores sees a file of this process; nodes that join later are not asked.

    Args:
        file: an existing file of the study.

    Raises:
        ConfigError: a node does not.
    """
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
    # Soft: a node that leaves meanwhile need not see anything.
    there = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=True) for node in nodes]
    seen = ray.get([_sees.options(scheduling_strategy=node).remote(file) for node in there])
    blind = [node["NodeManagerAddress"] for node, sees in zip(nodes, seen, strict=True) if not sees]
    if blind:
        raise ConfigError(
            f"{len(blind)} of {len(nodes)} nodes do not see {file} ({', '.join(blind)}): set `root` to a folder that "
            "all nodes mount (--set root=FOLDER)"
        )


# Needs no core of its own: a cluster may be busy with another study.
@ray.remote(num_cpus=0)
def _sees(file: Path) -> bool:
    return file.is_file()
