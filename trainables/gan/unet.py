"""The generator: a U-Net for 112 × 112 images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUP_CHANNELS = 8
FILM_WIDTH = 64
BORDER = "reflect"
"""Zeros around a condition that hardly varies would be all that tells places apart, and draw plaid over the image."""
CANVAS_LIMIT = 0.99
"""Grey value of a canvas beyond which the inverse of tanh would leave no gradient."""


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with about eight channels a group: per image, so that no worker depends on another's batch."""
    groups = max(1, channels // GROUP_CHANNELS)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)


class UNet(nn.Module):
    """Encoder and decoder with skip connections (Ronneberger 2015; as in pix2pix, Isola 2017).

    112 = 16 × 7, hence four halvings down to 7 × 7. Enlarging is nearest-neighbour followed by a convolution: a
    transposed convolution leaves a checkerboard (Odena 2016), which an identity loss would gladly exploit. The
    condition itself is the outermost skip.

    A code, if there is one, scales and shifts the channels of the middle and of the decoder (FiLM, Perez 2018). Before
    any training it changes nothing, so that the weights of a net without a code start one with it.

    With a canvas, the net paints over one channel of the condition instead of onto nothing: before any training, that
    channel comes out, and what is learned is added before the tanh.

    Args:
        channels: C, of the condition.
        width: channels of the first level; the inner levels have 2, 4 and 8 times as many.
        code_size: S, numbers of the code; 0 if there is none.
        canvas: channel of the condition that shows a face in grey; None if none does.
    """

    def __init__(self, channels: int, width: int, code_size: int = 0, canvas: int | None = None) -> None:
        super().__init__()
        sizes = (width, 2 * width, 4 * width, 8 * width)
        self.down = nn.ModuleList(
            _Down(before, after, norm=level > 0)
            for level, (before, after) in enumerate(zip((channels, *sizes[:-1]), sizes, strict=True))
        )
        self.middle = _Residual(sizes[-1])
        innermost_first = (*reversed(sizes), max(8, width // 2))
        skips = (*reversed(sizes[:-1]), channels)
        self.up = nn.ModuleList(
            _Up(before, skip, after)
            for before, skip, after in zip(innermost_first[:-1], skips, innermost_first[1:], strict=True)
        )
        self.out = nn.Conv2d(innermost_first[-1], 3, 3, padding=1, padding_mode=BORDER)
        self.film = _Film(code_size, innermost_first) if code_size else None
        self.canvas = canvas
        if canvas is not None:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, condition: Tensor, code: Tensor | None = None) -> Tensor:
        """Map (B, C, 112, 112) and a code (B, S), None without one, to (B, 3, 112, 112) in [-1, 1]."""
        assert (self.film is None) == (code is None), "a code belongs to a net with code_size > 0"
        in_middle, *in_decoder = [None] * (1 + len(self.up)) if self.film is None else self.film(code)
        skips = [condition]
        for down in self.down:
            skips.append(down(skips[-1]))
        features = self.middle(skips.pop(), in_middle)
        for up, modulation in zip(self.up, in_decoder, strict=True):
            features = up(features, skips.pop(), modulation)
        painted = self.out(features)
        if self.canvas is not None:
            painted = painted + torch.atanh(condition[:, [self.canvas]].clamp(-CANVAS_LIMIT, CANVAS_LIMIT))
        return torch.tanh(painted)


class _Film(nn.Module):
    """Maps codes (B, S) to scales and shifts (B, 2 × channels) for each of several layers; at first they are zero."""

    def __init__(self, code_size: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.sizes = [2 * size for size in channels]
        self.layers = nn.Sequential(
            nn.Linear(code_size, FILM_WIDTH), nn.LeakyReLU(0.2), nn.Linear(FILM_WIDTH, sum(self.sizes))
        )
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, code: Tensor) -> tuple[Tensor, ...]:
        return self.layers(code).split(self.sizes, dim=1)


def _modulated(features: Tensor, modulation: Tensor | None) -> Tensor:
    if modulation is None:
        return features
    scale, shift = modulation[:, :, None, None].chunk(2, dim=1)
    return features * (1 + scale) + shift


class _Down(nn.Module):
    def __init__(self, before: int, after: int, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 4, stride=2, padding=1, padding_mode=BORDER, bias=not norm)
        self.norm = group_norm(after) if norm else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.conv(features)), 0.2)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, padding_mode=BORDER, bias=False)
        self.norm = group_norm(channels)

    def forward(self, features: Tensor, modulation: Tensor | None) -> Tensor:
        return features + F.relu(_modulated(self.norm(self.conv(features)), modulation))


class _Up(nn.Module):
    def __init__(self, before: int, skip: int, after: int) -> None:
        super().__init__()
        # Narrowed before it is enlarged: the large map is the costly one.
        self.narrow = nn.Conv2d(before, after, 1)
        self.conv = nn.Conv2d(after + skip, after, 3, padding=1, padding_mode=BORDER, bias=False)
        self.norm = group_norm(after)

    def forward(self, features: Tensor, skip: Tensor, modulation: Tensor | None) -> Tensor:
        enlarged = F.interpolate(self.narrow(features), scale_factor=2.0, mode="nearest")
        return F.relu(_modulated(self.norm(self.conv(torch.cat([enlarged, skip], dim=1))), modulation))
