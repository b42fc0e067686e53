"""Random differentiable views of an image, so that the identity loss cannot be met by an adversarial texture."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

DRAWS = 8
"""Uniform numbers in [0, 1) that one view of one image needs."""

RESAMPLED_SIZES = (112, 84, 56)

_MAX_ROTATION_DEGREES = 8.0
_MAX_SCALE = 0.08
_MAX_SHIFT = 0.06
_MAX_BLUR_SIGMA = 2.0
_BLUR_KERNEL = 9
_MAX_NOISE = 0.08


def random_views(images: Tensor, draws: Tensor, noise: Tensor, strength: float) -> Tensor:
    """Rotate, scale, shift, resample, blur and add noise, each image by its own numbers.

    Args:
        images: (B, 3, H, W) in [-1, 1].
        draws: (B, DRAWS) uniform in [0, 1).
        noise: (B, 3, H, W) standard normal.
        strength: 0 leaves the geometry, blur and noise as they are; 1 moves by at most 8°, 8 % scale and 6 % shift,
            blurs by at most 2 px, adds noise of at most 0.08. The resampled size does not depend on it unless it is 0.

    Returns:
        (B, 3, H, W), differentiable in `images`.
    """
    if strength == 0:
        return images
    views = _blurred(_resampled(_moved(images, draws, strength), draws[:, 4]), draws[:, 5], strength)
    return views + noise * (strength * _MAX_NOISE * draws[:, 6]).view(-1, 1, 1, 1)


def _moved(images: Tensor, draws: Tensor, strength: float) -> Tensor:
    signed = (2 * draws[:, :4] - 1) * strength
    angles = signed[:, 0] * math.radians(_MAX_ROTATION_DEGREES)
    scales = 1 + signed[:, 1] * _MAX_SCALE
    shifts = 2 * _MAX_SHIFT * signed[:, 2:4]
    cosines, sines = scales * angles.cos(), scales * angles.sin()
    matrices = torch.stack(
        [torch.stack([cosines, -sines, shifts[:, 0]], dim=1), torch.stack([sines, cosines, shifts[:, 1]], dim=1)], dim=1
    )
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _resampled(images: Tensor, draws: Tensor) -> Tensor:
    size = images.shape[-2:]
    choice = (draws * len(RESAMPLED_SIZES)).long()
    result = images
    for index, small in enumerate(RESAMPLED_SIZES[1:], start=1):
        # Every image goes through every size and one result is kept: no shapes that depend on the numbers drawn.
        coarse = F.interpolate(images, size=(small, small), mode="bilinear", align_corners=False, antialias=True)
        coarse = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
        result = torch.where((choice == index).view(-1, 1, 1, 1), coarse, result)
    return result


def _blurred(images: Tensor, draws: Tensor, strength: float) -> Tensor:
    batch, channels, height, width = images.shape
    # The floor keeps the kernel defined where no blur was drawn.
    sigmas = (strength * _MAX_BLUR_SIGMA * draws).clamp(min=0.1)
    offsets = torch.arange(_BLUR_KERNEL, device=images.device, dtype=draws.dtype) - _BLUR_KERNEL // 2
    weights = torch.exp(-(offsets**2) / (2 * sigmas[:, None] ** 2))
    weights = (weights / weights.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0).to(images.dtype)
    padded = F.pad(images, [_BLUR_KERNEL // 2] * 4, mode="reflect").view(1, batch * channels, height + 8, width + 8)
    rows = F.conv2d(padded, weights[:, None, None, :], groups=batch * channels)
    return F.conv2d(rows, weights[:, None, :, None], groups=batch * channels).view(batch, channels, height, width)
