"""Classical filters: blur, pixelate, blackout."""

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.conditioning.geometry import face_mask
from trainables.conditioning.needs import require
from veil.errors import ConfigError
from veil.faces.ibug import LEFT_EYE, RIGHT_EYE
from veil.interfaces import CROP_SIZE
from veil.registry import anonymizers

if TYPE_CHECKING:
    from veil.interfaces import FaceBatch

_BAR_LENGTH, _BAR_HEIGHT = 2.2, 0.7
"""Of the bar over the eyes, in distances between them."""


@anonymizers.register("blur")
class Blur:
    """Gaussian blur, OpenCV's relation of kernel size to standard deviation, mirrored borders.

    Args:
        kernel: kernel size in pixels, odd, 3 to 111.
    """

    def __init__(self, kernel: int = 31) -> None:
        if kernel % 2 == 0 or not 3 <= kernel < CROP_SIZE:
            raise ConfigError(f"blur kernel is {kernel}, expected an odd number of pixels from 3 to {CROP_SIZE - 1}")
        self.kernel = kernel
        sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
        offsets = torch.arange(kernel, dtype=torch.float32) - kernel // 2
        weights = torch.exp(-(offsets**2) / (2 * sigma**2))
        self._weights = weights / weights.sum()

    def __call__(self, faces: "FaceBatch") -> Tensor:
        """Return float (B, 3, H, W) in [-1, 1]."""
        channels = faces.images.shape[1]
        weights = self._weights.to(faces.images)
        padded = F.pad(faces.images, [self.kernel // 2] * 4, mode="reflect")
        rows = F.conv2d(padded, weights.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
        return F.conv2d(rows, weights.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels).clamp(-1, 1)


@anonymizers.register("pixelate")
class Pixelate:
    """Mosaic of averaged square blocks; blocks at the right and lower border may be cut.

    Args:
        block: side of a block in pixels, 2 to 112.
    """

    def __init__(self, block: int = 8) -> None:
        if not 2 <= block <= CROP_SIZE:
            raise ConfigError(f"pixelate block is {block}, expected 2 to {CROP_SIZE} pixels")
        self.block = block

    def __call__(self, faces: "FaceBatch") -> Tensor:
        """Return float (B, 3, H, W) in [-1, 1]."""
        height, width = faces.images.shape[-2:]
        means = F.avg_pool2d(faces.images, self.block, ceil_mode=True, count_include_pad=False)
        blocks = means.repeat_interleave(self.block, dim=2).repeat_interleave(self.block, dim=3)
        return blocks[:, :, :height, :width].clamp(-1, 1)


@anonymizers.register("blackout")
class Blackout:
    """The eyes, the face, or the whole crop in black.

    Args:
        area: "crop" leaves nothing to see; "face" covers the landmarks' hull and the forehead; "eyes" is the censor bar
            over both eyes, from temple to temple.
    """

    def __init__(self, area: Literal["crop", "face", "eyes"] = "crop") -> None:
        if area not in ("crop", "face", "eyes"):
            raise ConfigError(f"blackout area is {area!r}, expected 'crop', 'face' or 'eyes'")
        self.area = area

    def __call__(self, faces: "FaceBatch") -> Tensor:
        """Return float (B, 3, H, W) in [-1, 1]."""
        black = torch.full_like(faces.images, -1.0)
        if self.area == "crop":
            return black
        covered = _eyes_bar(faces) if self.area == "eyes" else face_mask(faces) > -1
        return torch.where(covered, black, faces.images)


def _eyes_bar(faces: "FaceBatch") -> Tensor:
    """Bool (B, 1, H, W), a bar along the line through the eyes; lengths are shares of the distance between them.

    Raises:
        DataError: a face has no landmarks.
    """
    landmarks = require(faces, "landmarks68").to(faces.images)
    right, left = landmarks[:, list(RIGHT_EYE)].mean(dim=1), landmarks[:, list(LEFT_EYE)].mean(dim=1)
    distance = (left - right).norm(dim=1)[:, None, None]
    axis, middle = ((left - right)[:, None, None] / distance[..., None]), ((left + right) / 2)[:, None, None]
    ys, xs = (torch.arange(size).to(faces.images) for size in faces.images.shape[-2:])
    offsets = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1) - middle
    along = (offsets * axis).sum(dim=-1).abs()
    across = (offsets[..., 0] * axis[..., 1] - offsets[..., 1] * axis[..., 0]).abs()
    return ((along <= _BAR_LENGTH / 2 * distance) & (across <= _BAR_HEIGHT / 2 * distance))[:, None]
