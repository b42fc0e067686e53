"""Exponential moving average of a net's weights, with a half-life in images."""

import copy

import torch
from torch import Tensor, nn


class ExponentialMovingAverage:
    """Slowly following copy of a net, usually the better one to keep.

    Counting the half-life in images keeps the average the same when the batch size changes (Karras et al., EDM 2022).

    Args:
        net: raw net to follow; its weights are copied.
        half_life_images: images after which a past state's weight has halved; 0 follows without delay.

    Attributes:
        net: the average, in eval mode and without gradients.
    """

    def __init__(self, net: nn.Module, half_life_images: float) -> None:
        if half_life_images < 0:
            raise ValueError(f"half_life_images is {half_life_images}, expected 0 or more")
        self.half_life_images = half_life_images
        self.net = copy.deepcopy(net).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, net: nn.Module, images: int) -> None:
        """Follow `net` by the step that `images` images make."""
        decay = 0.5 ** (images / self.half_life_images) if self.half_life_images else 0.0
        averages: list[Tensor] = list(self.net.parameters())
        values: list[Tensor] = list(net.parameters())
        torch._foreach_lerp_(averages, values, 1 - decay)
        for average, value in zip(self.net.buffers(), net.buffers(), strict=True):
            average.copy_(value)
