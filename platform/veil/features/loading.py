"""Loads a feature net by name, and the perceptual distance."""

import torch

from veil.features.lpips import PerceptualDistance
from veil.registry import feature_nets
from veil.weights.frozen import FrozenNet


def load_feature_net(name: str, device: str | torch.device = "cpu") -> FrozenNet:
    """Build the feature net called `name`, frozen, on `device`.

    Returns:
        a module that maps float (B, 3, 112, 112) RGB in [-1, 1] to raw features (B, D), with the attributes `name`,
        `asset_sha256` and `feature_size` (D).

    Raises:
        ConfigError: no feature net has that name.
        AssetError: its weights cannot be had.
    """
    return feature_nets.get(name).load().to(device)


def load_perceptual_distance(device: str | torch.device = "cpu") -> PerceptualDistance:
    """Build LPIPS, frozen, on `device`.

    Raises:
        AssetError: its weights cannot be had.
    """
    return PerceptualDistance.load().to(device)
