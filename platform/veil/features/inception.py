"""Inception-v3 features (2048-d) of the Fréchet Inception Distance and of KID as papers report it.

Source: C. Szegedy et al., Rethinking the Inception Architecture, CVPR 2016; M. Heusel et al., GANs Trained by a Two
Time-Scale Update Rule, NeurIPS 2017; weights of 2015-12-05 as M. Seitzer's pytorch-fid converted them. The graph they
belong to pools differently from torchvision's net and resizes as TensorFlow 1 did; both are reproduced here.
"""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.inception import Inception3, InceptionA, InceptionC, InceptionE

from veil.assets import fetch
from veil.interfaces import CROP_SIZE
from veil.registry import feature_nets
from veil.weights.frozen import FrozenNet

INPUT_SIZE = 299
_CLASSES = 1008


def _average(x: Tensor) -> Tensor:
    """Mean of 3 × 3 pixels, in which padding has no share."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class FidInceptionA(InceptionA):
    """Torchvision's block, with TensorFlow's average at the border."""

    def forward(self, x: Tensor) -> Tensor:
        branch5x5 = self.branch5x5_2(self.branch5x5_1(x))
        branch3x3 = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), branch5x5, branch3x3, self.branch_pool(_average(x))], dim=1)


class FidInceptionC(InceptionC):
    """Torchvision's block, with TensorFlow's average at the border."""

    def forward(self, x: Tensor) -> Tensor:
        branch7x7 = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), branch7x7, double, self.branch_pool(_average(x))], dim=1)


class FidInceptionE(InceptionE):
    """Torchvision's block; the net's last one takes the maximum where the others take the average."""

    def __init__(self, inputs: int, last: bool = False) -> None:
        super().__init__(inputs)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        branch3x3 = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.last else _average(x)
        branches = [
            self.branch1x1(x),
            *(self.branch3x3_2a(branch3x3), self.branch3x3_2b(branch3x3)),
            *(self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)),
            self.branch_pool(pooled),
        ]
        return torch.cat(branches, dim=1)


def fid_inception() -> Inception3:
    """The net of the published weights, with their names of tensors."""
    net = Inception3(num_classes=_CLASSES, aux_logits=False, init_weights=False)
    net.Mixed_5b, net.Mixed_5c, net.Mixed_5d = FidInceptionA(192, 32), FidInceptionA(256, 64), FidInceptionA(288, 64)
    net.Mixed_6b, net.Mixed_6c = FidInceptionC(768, channels_7x7=128), FidInceptionC(768, channels_7x7=160)
    net.Mixed_6d, net.Mixed_6e = FidInceptionC(768, channels_7x7=160), FidInceptionC(768, channels_7x7=192)
    net.Mixed_7b, net.Mixed_7c = FidInceptionE(1280), FidInceptionE(2048, last=True)
    return net


@feature_nets.register("inception")
class InceptionFeatures(FrozenNet):
    """Maps crops, float (B, 3, 112, 112) RGB in [-1, 1], to the pooled features before the classifier (B, 2048)."""

    name = "inception"
    asset = "fid_inception"
    feature_size = 2048
    grid: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = fid_inception()
        # TensorFlow 1 puts output pixel i at input pixel i · 112 / 299, and repeats the last pixel beyond the edge;
        # grid_sample counts from -1, the centre of the first pixel, to 1, the centre of the last.
        column = torch.arange(INPUT_SIZE) * (CROP_SIZE / INPUT_SIZE) * (2 / (CROP_SIZE - 1)) - 1
        y, x = torch.meshgrid(column, column, indexing="ij")
        self.register_buffer("grid", torch.stack([x, y], dim=-1)[None])

    @classmethod
    def load(cls) -> Self:
        net = cls()
        net.body.load_state_dict(torch.load(fetch(cls.asset), map_location="cpu", weights_only=True))
        net.body.fc = nn.Identity()
        return net.freeze()

    def resized(self, images: Tensor) -> Tensor:
        """What the net is given of crops: float (B, 3, 299, 299), (byte - 128) / 128."""
        grid = self.grid.expand(len(images), -1, -1, -1)
        images = F.grid_sample(images, grid, padding_mode="border", align_corners=True)
        return ((images + 1) * 127.5 - 128) / 128

    def forward(self, images: Tensor) -> Tensor:
        return self.body(self.resized(images))
