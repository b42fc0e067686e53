"""Random views of training faces; each is a pure function of a seed and a number."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

_ORDER_STREAM, _VIEW_STREAM = 0, 1
_DRAWS = 11


class Views(NamedTuple):
    """What chance decides about B training images.

    Attributes:
        rows: int64 (B,), which.
        draws: float32 (B, 11), uniform in [-1, 1).
    """

    rows: NDArray[np.int64]
    draws: NDArray[np.float32]


def draw_views(seed: int, first: int, count: int, images: int) -> Views:
    """Draw the training images with the numbers `first` to `first + count - 1`.

    Image i is a pure function of (seed, i), whatever the batch size and the number of workers.
    """
    numbers = range(first, first + count)
    orders = {
        epoch: np.random.default_rng([seed, _ORDER_STREAM, epoch]).permutation(images)
        for epoch in range(numbers[0] // images, numbers[-1] // images + 1)
    }
    generators = [np.random.default_rng([seed, _VIEW_STREAM, number]) for number in numbers]
    return Views(
        rows=np.array([orders[number // images][number % images] for number in numbers]),
        draws=np.stack([generator.random(_DRAWS, dtype=np.float32) for generator in generators]) * 2 - 1,
    )


def seen_through(grey: Tensor, draws: Tensor, strength: float) -> Tensor:
    """Random views of faces.

    Half are mirrored. At strength 1, faces turn by at most 15°, grow or shrink by at most 22 %, move by at most 7 % of
    the side, become lighter or darker, and half lose a square of at most a third of the side.

    Args:
        grey: float (B, 1, H, W) in [-1, 1].
        draws: float (B, 11), uniform in [-1, 1).
        strength: 0 mirrors only.

    Returns:
        Float (B, 1, H, W); light may leave [-1, 1] a little.
    """
    mirror = torch.where(draws[:, 0] < 0, -1.0, 1.0)
    angle, size = strength * math.radians(15) * draws[:, 1], torch.exp(strength * 0.2 * draws[:, 2])
    shift = strength * 0.14 * draws[:, 3:5]
    cosine, sine = size * torch.cos(angle), size * torch.sin(angle)
    maps = torch.stack([cosine * mirror, -sine, shift[:, 0], sine * mirror, cosine, shift[:, 1]], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(maps, list(grey.shape), align_corners=False)
    moved = F.grid_sample(grey, grid, padding_mode="border", align_corners=False)
    contrast = torch.exp(strength * 0.3 * draws[:, 5])[:, None, None, None]
    light = strength * 0.2 * draws[:, 6][:, None, None, None]
    return (moved * contrast + light).masked_fill(_squares(draws[:, 7:], grey.shape[-1], strength), 0.0)


def _squares(draws: Tensor, side: int, strength: float) -> Tensor:
    """Bool (B, 1, side, side): a square in half of the images."""
    pixels = torch.arange(side, dtype=draws.dtype, device=draws.device)
    halves = torch.where(draws[:, 0] < 0, 0.0, strength * side / 12 * (draws[:, 1] + 1))[:, None, None, None]
    middle_x, middle_y = ((draws[:, index] + 1) / 2 * side for index in (2, 3))
    near_x = (pixels[None, None, None, :] - middle_x[:, None, None, None]).abs() < halves
    near_y = (pixels[None, None, :, None] - middle_y[:, None, None, None]).abs() < halves
    return near_x & near_y


def to_grey(images: NDArray[np.uint8]) -> Tensor:
    """Convert uint8 (B, H, W) to float (B, 1, H, W) in [-1, 1]."""
    return torch.from_numpy(images.astype(np.float32)).div_(127.5).sub_(1.0)[:, None]
