"""Loads a recognizer by name."""

import torch

from veil.registry import recognizers
from veil.weights.frozen import FrozenNet


def load_recognizer(name: str, device: str | torch.device = "cpu") -> FrozenNet:
    """Build the recognizer called `name`, frozen, on `device`.

    Returns:
        a module that maps float (B, 3, 112, 112) RGB in [-1, 1] to L2-normalised embeddings (B, D), with the
        attributes `name`, `asset_sha256` and `embedding_size` (D).

    Raises:
        ConfigError: no recognizer has that name.
        AssetError: its weights cannot be had.
    """
    return recognizers.get(name).load().to(device)
