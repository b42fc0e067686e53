"""Feature extractor of face-api's small nets: four densely connected blocks of separable convolutions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil.weights.face_api import convolution_kernel, depthwise_kernel, same_padding

_MEAN_RGB = (122.782, 117.001, 104.298)


class SeparableConvolution(nn.Module):
    """A depthwise 3 × 3 convolution with TensorFlow's "SAME" padding, then a pointwise one."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(_pad(x, self.depthwise)))

    def fill(self, tensors: dict[str, Tensor], name: str) -> None:
        """Take over the weights below `name/`."""
        self.depthwise.weight.data.copy_(depthwise_kernel(tensors[f"{name}/depthwise_filter"]))
        self.pointwise.weight.data.copy_(convolution_kernel(tensors[f"{name}/pointwise_filter"]))
        assert self.pointwise.bias is not None
        self.pointwise.bias.data.copy_(tensors[f"{name}/bias"])


class DenseBlock(nn.Module):
    """Four convolutions, each fed with the sum of all before it, at half the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        # The first block of the net starts with a plain convolution of the image.
        self.conv0 = nn.Conv2d(inputs, outputs, 3, 2) if inputs == 3 else SeparableConvolution(inputs, outputs, 2)
        self.rest = nn.ModuleList(SeparableConvolution(outputs, outputs) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.conv0, nn.Conv2d):
            x = _pad(x, self.conv0)
        total = F.relu(self.conv0(x))
        out = total
        for convolution in self.rest:
            total = total + convolution(out)
            out = F.relu(total)
        return out

    def fill(self, tensors: dict[str, Tensor], name: str) -> None:
        """Take over the weights below `name/`."""
        if isinstance(self.conv0, SeparableConvolution):
            self.conv0.fill(tensors, f"{name}/conv0")
        else:
            self.conv0.weight.data.copy_(convolution_kernel(tensors[f"{name}/conv0/filters"]))
            assert self.conv0.bias is not None
            self.conv0.bias.data.copy_(tensors[f"{name}/conv0/bias"])
        for index, convolution in enumerate(self.rest):
            assert isinstance(convolution, SeparableConvolution)
            convolution.fill(tensors, f"{name}/conv{index + 1}")


class FaceApiNet(nn.Module):
    """Extractor and linear head: faces, float (B, 3, 112, 112) RGB in [0, 255], to (B, outputs)."""

    mean: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN_RGB).view(1, 3, 1, 1))
        self.blocks = nn.ModuleList(
            DenseBlock(inputs, size) for inputs, size in ((3, 32), (32, 64), (64, 128), (128, 256))
        )
        self.head = nn.Linear(256, outputs)

    def forward(self, faces: Tensor) -> Tensor:
        x = (faces - self.mean) / 255
        for block in self.blocks:
            x = block(x)
        return self.head(F.avg_pool2d(x, 7, 2).flatten(1))

    def fill(self, tensors: dict[str, Tensor]) -> None:
        """Take over the weights of a face-api model."""
        for index, block in enumerate(self.blocks):
            assert isinstance(block, DenseBlock)
            block.fill(tensors, f"dense{index}")
        self.head.weight.data.copy_(tensors["fc/weights"].T)
        self.head.bias.data.copy_(tensors["fc/bias"])


def _pad(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    (kernel, _), (stride, _) = convolution.kernel_size, convolution.stride
    vertical, horizontal = (same_padding(size, kernel, stride) for size in x.shape[2:])
    return F.pad(x, (*horizontal, *vertical))
