"""MobileFaceNet trained with the ArcFace loss (192-d): the cheapest recognizer, meant for the loss.

Source: S. Chen et al., MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile Devices,
CCBR 2018. The weights are those of a TensorFlow Lite file; every batch norm is already folded into its convolution.
"""

from collections.abc import Iterator
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil.assets import fetch
from veil.registry import recognizers
from veil.weights.frozen import FrozenNet
from veil.weights.tflite_graph import Convolution, read_convolutions


class _FixedPReLU(torch.autograd.Function):
    """PReLU without a gradient for the slopes, which PyTorch's own backward always computes at twice the cost."""

    @staticmethod
    def forward(context: Any, x: Tensor, slope: Tensor) -> Tensor:
        context.save_for_backward(x, slope)
        return torch.prelu(x, slope)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        x, slope = context.saved_tensors
        slope = slope.view(1, -1, 1, 1)
        positive = torch.ops.aten.threshold_backward(gradient, x, 0)
        return torch.addcmul(gradient * slope, positive, 1 - slope), None


class FixedPReLU(nn.Module):
    """PReLU with one fixed slope per channel."""

    slope: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("slope", torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return _FixedPReLU.apply(x, self.slope)


class ConvolutionBlock(nn.Module):
    """A convolution with TensorFlow's "SAME" padding for even sizes, then an optional PReLU."""

    def __init__(
        self, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1, prelu: bool = True
    ) -> None:
        super().__init__()
        # "SAME" with stride 2 on an even size pads only after the last row and column.
        self.padding_after = size - stride if stride > 1 else 0
        padding = size // 2 if stride == 1 and size == 3 else 0
        self.convolution = nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups)
        self.activation = FixedPReLU(outputs) if prelu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if self.padding_after:
            x = F.pad(x, (0, self.padding_after, 0, self.padding_after))
        return self.activation(self.convolution(x))

    def fill(self, layer: Convolution) -> None:
        """Take over the weights of one layer of the file."""
        self.convolution.weight.data.copy_(layer.kernel)
        assert self.convolution.bias is not None
        self.convolution.bias.data.copy_(layer.bias)
        if isinstance(self.activation, FixedPReLU):
            assert layer.slope is not None
            self.activation.slope.copy_(layer.slope)


class InvertedResidual(nn.Module):
    """Expand by a pointwise convolution, filter each channel, project back linearly."""

    def __init__(self, inputs: int, hidden: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvolutionBlock(inputs, hidden, 1),
            ConvolutionBlock(hidden, hidden, 3, stride, groups=hidden),
            ConvolutionBlock(hidden, outputs, 1, prelu=False),
        )
        self.residual = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


@recognizers.register("mobilefacenet")
class MobileFaceNet(FrozenNet):
    """Maps crops, float (B, 3, 112, 112) RGB in [-1, 1], to L2-normalised embeddings (B, 192)."""

    name = "mobilefacenet"
    asset = "mobilefacenet_tflite"
    embedding_size = 192

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ConvolutionBlock(3, 64, 3, stride=2),
            ConvolutionBlock(64, 64, 3, groups=64),
            InvertedResidual(64, 128, 64, stride=2),
            *(InvertedResidual(64, 128, 64) for _ in range(4)),
            InvertedResidual(64, 256, 128, stride=2),
            *(InvertedResidual(128, 256, 128) for _ in range(6)),
            InvertedResidual(128, 512, 128, stride=2),
            *(InvertedResidual(128, 256, 128) for _ in range(2)),
            ConvolutionBlock(128, 512, 1),
            ConvolutionBlock(512, 512, 7, groups=512, prelu=False),
            ConvolutionBlock(512, self.embedding_size, 1, prelu=False),
        )

    @classmethod
    def load(cls) -> Self:
        net = cls()
        layers = list(_without_linear_pairs(read_convolutions(fetch(cls.asset))))
        blocks = [module for module in net.modules() if isinstance(module, ConvolutionBlock)]
        for block, layer in zip(blocks, layers, strict=True):
            block.fill(layer)
        return net.to(memory_format=torch.channels_last).freeze()

    def forward(self, images: Tensor) -> Tensor:
        # The net was trained on (byte - 127.5) / 128. Depthwise layers run about twice as fast in channels-last order.
        features = self.features(images.contiguous(memory_format=torch.channels_last) * (127.5 / 128))
        return F.normalize(features.flatten(1))


def _without_linear_pairs(layers: list[Convolution]) -> Iterator[Convolution]:
    """Merge each linear pointwise convolution into a pointwise convolution right behind it.

    The file has two such pairs, before the first expansion and before the embedding; the products are exact up to
    rounding and save their multiplications in every pass.
    """
    merged: Convolution | None = None
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        if merged is not None:
            layer = Convolution(
                torch.einsum("omhw,mihw->oihw", layer.kernel, merged.kernel),
                layer.bias + layer.kernel[:, :, 0, 0] @ merged.bias,
                layer.slope,
            )
            merged = None
        is_pointwise_pair = following is not None and layer.kernel.shape[-1] == following.kernel.shape[-1] == 1
        # A linear projection is merged only where nothing else, such as a residual sum, reads it: where it keeps its
        # number of channels.
        if is_pointwise_pair and layer.slope is None and layer.kernel.shape[0] == layer.kernel.shape[1]:
            merged = layer
        else:
            yield layer
