"""The discriminator: judges patches of an image next to the condition it was made from."""

import torch
from torch import Tensor, nn

from trainables.gan.unet import group_norm


class PatchGAN(nn.Module):
    """Conditional PatchGAN (Isola 2017) with three halvings: one judgement for each 38 × 38 patch.

    Args:
        channels: C, of the condition.
        width: channels of the first level.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels + 3, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
            group_norm(2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1, bias=False),
            group_norm(4 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 1, 3, padding=1),
        )

    def forward(self, condition: Tensor, images: Tensor) -> Tensor:
        """Map (B, C, 112, 112) and (B, 3, 112, 112) to logits (B, 1, 14, 14), larger for real."""
        return self.layers(torch.cat([condition, images], dim=1))
