"""Loads an expression net by name, or one that a user trained by its folder."""

from pathlib import Path
from typing import Any

import torch

from veil.errors import ConfigError
from veil.registry import expression_nets
from veil.weights.frozen import FrozenNet


def load_expression_net(name: str, device: str | torch.device = "cpu") -> FrozenNet:
    """Build the expression net called `name`, frozen, on `device`.

    Args:
        name: registered name ("fer_resnet"), or that of a net that is trained here with the folder in which
            `veil train-teacher` left it ("fer_resnet:teachers/mine").
        device: where it runs.

    Returns:
        a module that maps float (B, 3, 112, 112) RGB in [-1, 1] to logits (B, 7) in the order of
        `veil.interfaces.EXPRESSIONS`, with the attributes `name` and `asset_sha256`.

    Raises:
        ConfigError: no expression net has that name, or the named one is not trained here.
        AssetError: its weights cannot be had.
    """
    net, folder = _resolve(name)
    loaded: FrozenNet = net.load() if folder is None else net.load_from(folder)
    return loaded.to(device)


def expression_net_sha256(name: str) -> str:
    """SHA-256 of the weights that `load_expression_net` would load.

    Raises:
        ConfigError, AssetError: as there.
    """
    net, folder = _resolve(name)
    return str(net.weights_sha256() if folder is None else net.weights_sha256(folder))


def _resolve(name: str) -> tuple[Any, Path | None]:
    registered, colon, folder = name.partition(":")
    net = expression_nets.get(registered)
    if not colon:
        return net, None
    if not hasattr(net, "load_from"):
        trained_here = [other for other in expression_nets.names() if hasattr(expression_nets.get(other), "load_from")]
        raise ConfigError(
            f"{name!r} names a folder, but {registered} is not trained by `veil train-teacher`; "
            f"expected {' or '.join(f'{other}:FOLDER' for other in trained_here)}"
        )
    return net, Path(folder)
