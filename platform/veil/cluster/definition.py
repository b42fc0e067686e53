"""The file of a cluster for Ray's launcher: read, completed and checked as `ray up` does it, and started by nobody."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import Field

from veil.config import Settings
from veil.errors import ConfigError, nearest

PROVIDERS = ("aws", "azure", "gcp", "local", "vsphere", "aliyun")


class ClusterSettings(Settings):
    """What Veil must know of a cluster; it stands in the file as `metadata.veil`, which Ray ignores."""

    storage: Path = Field(description="folder that all nodes mount under this name")
    tunnels: dict[str, int] = Field({}, description="ports on the head's loopback address, by what listens there")


@dataclass(frozen=True)
class NodeType:
    """One kind of node.

    Attributes:
        name: in the file.
        count: how many there are, as a text: "1", "0 to 8".
        machine: instance type and market, or addresses.
        resources: what it offers to trials; None where Ray finds out on the machine.
        image: of the container; None without containers.
    """

    name: str
    count: str
    machine: str
    resources: Mapping[str, int] | None
    image: str | None


@dataclass(frozen=True)
class ClusterDefinition:
    """What `ray up` would start.

    Attributes:
        path: of the file.
        name: of the cluster.
        provider: who starts the machines.
        user: who logs in to the nodes.
        head_address: address of the head, where the file tells it.
        nodes: the head first.
        max_workers: of all kinds of worker together.
        idle_minutes: after which a worker that has nothing to do is ended.
        settings: Veil's own.
    """

    path: Path
    name: str
    provider: str
    user: str
    head_address: str | None
    nodes: tuple[NodeType, ...]
    max_workers: int
    idle_minutes: float
    settings: ClusterSettings


def read_cluster(path: Path) -> ClusterDefinition:
    """Read a file and check it against Ray's schema and Veil's settings.

    Raises:
        ConfigError: the file cannot be read, Ray would refuse it, or Veil's settings in it are wrong.
    """
    written = _read_yaml(path)
    if "veil" not in (metadata := written.get("metadata") or {}):
        raise ConfigError(f"{path}: setting 'metadata.veil' is missing; see platform/docs/cluster.md for what it says")
    settings = ClusterSettings.parse(metadata["veil"], where=f"{path}: metadata.veil")
    filled = _completed(path, written)
    provider = filled["provider"]
    workers = _machines_of_ones_own(filled) if provider["type"] == "local" else _rented_machines(filled)
    return ClusterDefinition(
        path=path,
        name=filled["cluster_name"],
        provider=provider["type"],
        user=filled["auth"].get("ssh_user", "root"),
        head_address=provider.get("external_head_ip", provider.get("head_ip")),
        nodes=tuple(workers),
        max_workers=filled["max_workers"],
        idle_minutes=filled["idle_timeout_minutes"],
        settings=settings,
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the cluster file {path}: {error.strerror}; name an existing one") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(written, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, found {type(written).__name__}")
    provider = written.get("provider")
    kind = provider.get("type") if isinstance(provider, dict) else provider
    if kind not in PROVIDERS:
        raise ConfigError(f"{path}: setting 'provider.type': found {kind!r}; {nearest(str(kind), PROVIDERS)}")
    return written


def _completed(path: Path, written: dict[str, Any]) -> dict[str, Any]:
    """The settings as `ray up` fills them out.

    Raises:
        ConfigError: it would refuse them.
    """
    import jsonschema

    # Ray tells which defaults it fills in.
    logging.getLogger("ray.autoscaler").setLevel(logging.WARNING)
    from ray.autoscaler._private.util import prepare_config, validate_config

    plain = json.loads(json.dumps(written))
    try:
        # Before it fills in defaults too: it does so without a look at what it fills them into.
        validate_config({"cluster_synced_files": [], **plain})
        filled: dict[str, Any] = prepare_config(plain)
        validate_config(filled)
    except jsonschema.ValidationError as error:
        where = error.json_path.removeprefix("$").removeprefix(".") or "(top level)"
        hint = ""
        if error.validator == "additionalProperties":
            known = error.schema.get("properties", {})
            hint = "; " + nearest(next(key for key in error.instance if key not in known), known)
        raise ConfigError(f"{path}: Ray refuses setting {where!r}: {error.message}{hint}") from None
    # Ray asserts that containers have an image and a name.
    except (ValueError, RuntimeError, AssertionError, click.ClickException) as error:
        raise ConfigError(f"{path}: Ray refuses it: {error}") from None
    return filled


def _machines_of_ones_own(filled: Mapping[str, Any]) -> list[NodeType]:
    provider = filled["provider"]
    workers = provider["worker_ips"]
    return [
        NodeType("head", "1", provider["head_ip"], None, None),
        NodeType("worker", str(min(len(workers), filled["max_workers"])), ", ".join(workers), None, None),
    ]


def _rented_machines(filled: Mapping[str, Any]) -> list[NodeType]:
    docker = filled.get("docker", {})
    nodes = []
    for name, node in filled["available_node_types"].items():
        is_head = name == filled["head_node_type"]
        machine = node["node_config"]
        market = (machine.get("InstanceMarketOptions") or {}).get("MarketType", "on demand")
        nodes.append(
            NodeType(
                name=name,
                count="1" if is_head else f"{node['min_workers']} to {node['max_workers']}",
                machine=f"{machine.get('InstanceType', 'as the provider chooses')}, {market}",
                resources=node["resources"],
                image=docker.get("head_image" if is_head else "worker_image", docker.get("image")),
            )
        )
    return sorted(nodes, key=lambda node: node.name != filled["head_node_type"])
