"""Loads an expression net by name."""

import torch

from veil.registry import expression_nets
from veil.weights.frozen import FrozenNet


def load_expression_net(name: str, device: str | torch.device = "cpu") -> FrozenNet:
    """Build the expression net called `name`, frozen, on `device`.

    Returns:
        a module that maps float (B, 3, 112, 112) RGB in [-1, 1] to logits (B, 7) in the order of
        `veil.interfaces.EXPRESSIONS`, with the attributes `name` and `asset_sha256`.

    Raises:
        ConfigError: no expression net has that name.
        AssetError: its weights cannot be had.
    """
    return expression_nets.get(name).load().to(device)
