"""dlib's ResNet recognizer (128-d) rebuilt in torch; independent of the ArcFace family, meant for reports.

Source: D. King, dlib_face_recognition_resnet_model_v1 (2017), in the 8-bit form that face-api ships.
"""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil.assets import fetch
from veil.interfaces import CROP_SIZE
from veil.registry import recognizers
from veil.weights.face_api import convolution_kernel, read_weights
from veil.weights.frozen import FrozenNet

CHIP_SIZE = 150
CHIP_TO_CROP = ((0.68704, 0.00381, 4.8896), (-0.00381, 0.68704, 20.5439))
"""Similarity from dlib chip pixels (padding 0.25) to ArcFace crop pixels: the least-squares fit between eye centres,
nose tip and mouth corners of dlib's mean shape and the five points of the ArcFace template."""

_MEAN_RGB = (122.782, 117.001, 104.298)


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut; when `down`, at half the size, the shortcut is average-pooled."""

    def __init__(self, inputs: int, outputs: int, down: bool) -> None:
        super().__init__()
        self.down = down
        # dlib pads convolutions of stride 1 only.
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 2, 0) if down else nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(F.relu(self.conv1(x)))
        if self.down:
            x = F.avg_pool2d(x, 2)
            # dlib adds tensors of different shapes as if the smaller one were continued with zeros.
            out = F.pad(out, (0, x.shape[3] - out.shape[3], 0, x.shape[2] - out.shape[2]))
            x = F.pad(x, (0, 0, 0, 0, 0, out.shape[1] - x.shape[1]))
        return F.relu(out + x)


class DlibResNetBody(nn.Module):
    """Maps dlib chips, float (B, 3, 150, 150) RGB in [0, 255], to raw descriptors (B, 128)."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN_RGB).view(1, 3, 1, 1))
        self.conv32_down = nn.Conv2d(3, 32, 7, 2)
        self.blocks = nn.ModuleDict()
        inputs = 32
        for outputs, repeats in ((32, 3), (64, 3), (128, 2), (256, 2)):
            if outputs > 32:
                self.blocks[f"conv{outputs}_down"] = ResidualBlock(inputs, outputs, down=True)
            for index in range(repeats):
                self.blocks[f"conv{outputs}_{index + 1}"] = ResidualBlock(outputs, outputs, down=False)
            inputs = outputs
        self.blocks["conv256_down_out"] = ResidualBlock(256, 256, down=True)
        self.fc = nn.Linear(256, 128, bias=False)

    def forward(self, chips: Tensor) -> Tensor:
        x = F.relu(self.conv32_down((chips - self.mean) / 256))
        x = F.max_pool2d(x, 3, 2)
        for block in self.blocks.values():
            x = block(x)
        return self.fc(x.mean(dim=(2, 3)))

    def fill(self, tensors: dict[str, Tensor]) -> None:
        """Take over face-api's weights; the learned scale behind each convolution is folded into it."""
        _fill(self.conv32_down, tensors, "conv32_down")
        for name, block in self.blocks.items():
            assert isinstance(block, ResidualBlock)
            _fill(block.conv1, tensors, f"{name}/conv1")
            _fill(block.conv2, tensors, f"{name}/conv2")
        self.fc.weight.data.copy_(tensors["fc"].T)


@recognizers.register("dlib_resnet")
class DlibResNet(FrozenNet):
    """Maps crops, float (B, 3, 112, 112) RGB in [-1, 1], to L2-normalised embeddings (B, 128).

    The crop is warped to dlib's chip by a constant similarity. A chip shows 103 × 103 crop pixels; its lowest 17 of
    150 rows lie below the crop and repeat the crop's last row.
    """

    name = "dlib_resnet"
    asset = "face_api_recognition_bin"
    embedding_size = 128
    grid: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = DlibResNetBody()
        # Pixel centres sit at (2 i + 1) / size - 1 in the coordinates of grid_sample.
        column = torch.arange(CHIP_SIZE, dtype=torch.float32)
        y, x = torch.meshgrid(column, column, indexing="ij")
        chip_points = torch.stack([x, y, torch.ones_like(x)], dim=-1)
        crop_points = chip_points @ torch.tensor(CHIP_TO_CROP).T
        self.register_buffer("grid", ((2 * crop_points + 1) / CROP_SIZE - 1)[None])

    @classmethod
    def load(cls) -> Self:
        net = cls()
        net.body.fill(read_weights(fetch(cls.asset), fetch("face_api_recognition_manifest")))
        return net.freeze()

    def chips(self, images: Tensor) -> Tensor:
        """Map crops to dlib chips, float (B, 3, 150, 150) in [0, 255]."""
        grid = self.grid.expand(len(images), -1, -1, -1)
        warped = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return (warped + 1) * 127.5

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.body(self.chips(images)))


def _fill(convolution: nn.Conv2d, tensors: dict[str, Tensor], name: str) -> None:
    scale = tensors[f"{name}/scale/weights"]
    kernel = convolution_kernel(tensors[f"{name}/conv/filters"])
    convolution.weight.data.copy_(kernel * scale.view(-1, 1, 1, 1))
    assert convolution.bias is not None
    convolution.bias.data.copy_(tensors[f"{name}/conv/bias"] * scale + tensors[f"{name}/scale/biases"])
