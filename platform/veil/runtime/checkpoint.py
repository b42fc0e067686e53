"""Training state on disk: safetensors and JSON, never pickle; a checkpoint is complete or absent."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from veil.errors import DataError

_PREFIX = "checkpoint-"
_TENSORS = "state.safetensors"
_VALUES = "state.json"


def save_checkpoint(
    folder: Path,
    images_seen: int,
    nets: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write the whole training state; earlier checkpoints in `folder` go once this one is complete.

    Args:
        folder: holds the checkpoints of one training.
        images_seen: progress; part of the name.
        nets: raw nets by name (the EMA's net among them).
        optimizers: by name.
        extra: further plain values that resuming needs.

    Returns:
        Folder of the new checkpoint.
    """
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {"images_seen": images_seen, "optimizers": {}, "extra": dict(extra or {})}
    for name, net in nets.items():
        tensors |= {f"net/{name}/{key}": tensor for key, tensor in net.state_dict().items()}
    for name, optimizer in optimizers.items():
        state = optimizer.state_dict()
        scalars: dict[str, dict[str, Any]] = {}
        for index, slots in state["state"].items():
            for key, value in slots.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer/{name}/{index}/{key}"] = value
                else:
                    scalars.setdefault(str(index), {})[key] = value
        values["optimizers"][name] = {"param_groups": state["param_groups"], "scalars": scalars}
    tensors["rng/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        tensors["rng/cuda"] = torch.cuda.get_rng_state()

    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{_PREFIX}{images_seen:012d}"
    partial = folder / f".{target.name}.{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    _write_tensors(partial / _TENSORS, tensors)
    _write_text(partial / _VALUES, json.dumps(values))
    if target.exists():
        shutil.rmtree(target)
    os.replace(partial, target)
    for old in _checkpoints(folder):
        if old != target:
            shutil.rmtree(old)
    return target


def latest_checkpoint(folder: Path) -> Path | None:
    """Newest complete checkpoint in `folder`, or None if there is none."""
    checkpoints = _checkpoints(folder)
    return checkpoints[-1] if checkpoints else None


def remove_checkpoints(folder: Path) -> None:
    """Delete all checkpoints in `folder`, as of a training that has ended."""
    for checkpoint in _checkpoints(folder):
        shutil.rmtree(checkpoint)


def load_checkpoint(
    checkpoint: Path, nets: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]
) -> tuple[int, dict[str, Any]]:
    """Restore nets, optimizers and random states in place.

    Returns:
        Images seen, and the extra values that were saved.

    Raises:
        DataError: the checkpoint is damaged, or belongs to other nets.
    """
    try:
        tensors = load_file(checkpoint / _TENSORS)
        values = json.loads((checkpoint / _VALUES).read_text(encoding="utf-8"))
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise DataError(f"checkpoint {checkpoint} cannot be read ({error}); delete the folder to start anew") from None
    for name, net in nets.items():
        _load_net(net, _below(tensors, f"net/{name}/"), f"checkpoint {checkpoint}, net {name!r}")
    for name, optimizer in optimizers.items():
        saved = values["optimizers"].get(name)
        if saved is None:
            raise DataError(f"checkpoint {checkpoint} has no optimizer {name!r}; delete the folder to start anew")
        state: dict[int, dict[str, Any]] = {int(index): dict(slots) for index, slots in saved["scalars"].items()}
        for key, tensor in _below(tensors, f"optimizer/{name}/").items():
            index, slot = key.split("/", 1)
            state.setdefault(int(index), {})[slot] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": saved["param_groups"]})
    torch.set_rng_state(tensors["rng/cpu"])
    if "rng/cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["rng/cuda"])
    return int(values["images_seen"]), values["extra"]


def save_weights(path: Path, net: nn.Module) -> None:
    """Write a net's weights as safetensors; the file appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    _write_tensors(partial, net.state_dict())
    os.replace(partial, path)


def load_weights(path: Path, net: nn.Module, keep: str | None = None) -> None:
    """Load weights written by `save_weights` into `net`, in place.

    Args:
        path: the file.
        net: of the same architecture.
        keep: prefix of the names of weights that the file may lack and that then stay as they are.

    Raises:
        DataError: the file is missing or damaged, or belongs to another net.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"weights {path} cannot be read: {error}") from None
    if keep is not None:
        tensors = {name: tensor for name, tensor in net.state_dict().items() if name.startswith(keep)} | tensors
    _load_net(net, tensors, f"weights {path}")


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if path.is_dir())


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _load_net(net: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    try:
        net.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise DataError(f"{where} belongs to another architecture: {error}") from None


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    # safetensors refuses tensors that share memory or are not contiguous.
    save_file({key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()}, path)
    _sync(path)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    _sync(path)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
