"""Small differentiable nets in the place of recognizers and teachers, where only the training loop is tested."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil.interfaces import Roles


class SmallNet(nn.Module):
    """A few convolutions with seeded weights, frozen; `normalised` outputs are embeddings, others logits."""

    def __init__(self, outputs: int, normalised: bool, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.AvgPool2d(4), nn.Conv2d(3, 8, 5, stride=2), nn.Tanh(), nn.Conv2d(8, 8, 5, stride=2), nn.Tanh(),
                nn.Flatten(), nn.LazyLinear(outputs),
            )  # fmt: skip
            self.layers(torch.zeros(1, 3, 112, 112))
        self.normalised = normalised
        self.asset_sha256 = f"{seed:064x}"
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        outputs = self.layers(images)
        return F.normalize(outputs, dim=1) if self.normalised else 5 * outputs


def small_roles(device: str) -> Roles:
    """Two proxies and a teacher."""
    proxies = (SmallNet(16, True, 1).to(device), SmallNet(8, True, 2).to(device))
    return Roles(proxies, SmallNet(7, False, 3).to(device))
