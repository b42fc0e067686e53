"""FaceNet (512-d): Inception-ResNet-v1 trained with a softmax loss on VGGFace2 or CASIA-WebFace.

Source: F. Schroff et al., FaceNet, CVPR 2015; C. Szegedy et al., Inception-v4, Inception-ResNet and the Impact of
Residual Connections on Learning, AAAI 2017; weights of D. Sandberg's facenet as facenet-pytorch 2.6.0 converted them,
whose names of tensors are kept.

FaceNet was trained on MTCNN boxes with a margin, which show more of the head than an ArcFace crop does; what lies
outside the crop is lost. It therefore recognises ArcFace crops less well than published figures say: its control rung
is the measure of that.
"""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from veil.assets import fetch
from veil.registry import recognizers
from veil.weights.frozen import FrozenNet

INPUT_SIZE = 160
_EPSILON = 1e-3


class BasicConv2d(nn.Module):
    """A convolution without bias, batch norm and ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(outputs, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))

    def fold(self) -> None:
        """Put the batch norm into the convolution, for inference."""
        assert isinstance(self.bn, nn.BatchNorm2d)
        self.conv = fuse_conv_bn_eval(self.conv.eval(), self.bn.eval())
        self.bn = nn.Identity()


class Branches(nn.Module):
    """Nets that run side by side on one input; their channels are stacked."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.count = len(branches)
        for index, branch in enumerate(branches):
            self.add_module(f"branch{index}", branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.get_submodule(f"branch{index}")(x) for index in range(self.count)], dim=1)


class ResidualBranches(Branches):
    """Branches, projected back to the channels of their input and added to it after scaling."""

    def __init__(self, *branches: nn.Module, stacked: int, channels: int, scale: float, relu: bool = True) -> None:
        super().__init__(*branches)
        self.conv2d = nn.Conv2d(stacked, channels, 1)
        self.scale = scale
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2d(super().forward(x)) * self.scale + x
        return F.relu(out) if self.relu else out


def block35() -> ResidualBranches:
    """Inception-ResNet-A of 256 channels, at 17 × 17."""
    return ResidualBranches(
        BasicConv2d(256, 32, 1),
        nn.Sequential(BasicConv2d(256, 32, 1), BasicConv2d(32, 32, 3, padding=1)),
        nn.Sequential(BasicConv2d(256, 32, 1), BasicConv2d(32, 32, 3, padding=1), BasicConv2d(32, 32, 3, padding=1)),
        stacked=96,
        channels=256,
        scale=0.17,
    )


def block17() -> ResidualBranches:
    """Inception-ResNet-B of 896 channels, at 8 × 8."""
    wide, tall = BasicConv2d(128, 128, (1, 7), padding=(0, 3)), BasicConv2d(128, 128, (7, 1), padding=(3, 0))
    return ResidualBranches(
        BasicConv2d(896, 128, 1),
        nn.Sequential(BasicConv2d(896, 128, 1), wide, tall),
        stacked=256,
        channels=896,
        scale=0.10,
    )


def block8(scale: float = 0.20, relu: bool = True) -> ResidualBranches:
    """Inception-ResNet-C of 1792 channels, at 3 × 3."""
    wide, tall = BasicConv2d(192, 192, (1, 3), padding=(0, 1)), BasicConv2d(192, 192, (3, 1), padding=(1, 0))
    return ResidualBranches(
        BasicConv2d(1792, 192, 1),
        nn.Sequential(BasicConv2d(1792, 192, 1), wide, tall),
        stacked=384,
        channels=1792,
        scale=scale,
        relu=relu,
    )


class InceptionResnetV1(nn.Module):
    """Maps faces, float (B, 3, 160, 160) RGB, standardised as (byte - 127.5) / 128, to raw embeddings (B, 512)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_1a = BasicConv2d(3, 32, 3, stride=2)
        self.conv2d_2a = BasicConv2d(32, 32, 3)
        self.conv2d_2b = BasicConv2d(32, 64, 3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, stride=2)
        self.conv2d_3b = BasicConv2d(64, 80, 1)
        self.conv2d_4a = BasicConv2d(80, 192, 3)
        self.conv2d_4b = BasicConv2d(192, 256, 3, stride=2)
        self.repeat_1 = nn.Sequential(*(block35() for _ in range(5)))
        self.mixed_6a = Branches(
            BasicConv2d(256, 384, 3, stride=2),
            nn.Sequential(
                BasicConv2d(256, 192, 1), BasicConv2d(192, 192, 3, padding=1), BasicConv2d(192, 256, 3, stride=2)
            ),
            nn.MaxPool2d(3, stride=2),
        )
        self.repeat_2 = nn.Sequential(*(block17() for _ in range(10)))
        self.mixed_7a = Branches(
            nn.Sequential(BasicConv2d(896, 256, 1), BasicConv2d(256, 384, 3, stride=2)),
            nn.Sequential(BasicConv2d(896, 256, 1), BasicConv2d(256, 256, 3, stride=2)),
            nn.Sequential(
                BasicConv2d(896, 256, 1), BasicConv2d(256, 256, 3, padding=1), BasicConv2d(256, 256, 3, stride=2)
            ),
            nn.MaxPool2d(3, stride=2),
        )
        self.repeat_3 = nn.Sequential(*(block8() for _ in range(5)))
        self.block8 = block8(scale=1.0, relu=False)
        self.avgpool_1a = nn.AdaptiveAvgPool2d(1)
        self.last_linear = nn.Linear(1792, 512, bias=False)
        self.last_bn = nn.BatchNorm1d(512, eps=_EPSILON)

    def forward(self, faces: Tensor) -> Tensor:
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(faces)))
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(x))))
        x = self.mixed_6a(self.repeat_1(x))
        x = self.mixed_7a(self.repeat_2(x))
        x = self.avgpool_1a(self.block8(self.repeat_3(x)))
        return self.last_bn(self.last_linear(x.flatten(1)))

    def fill(self, tensors: dict[str, Tensor]) -> None:
        """Take over all published weights but the classifier of the people trained on; fold the batch norms."""
        self.load_state_dict({name: value for name, value in tensors.items() if not name.startswith("logits.")})
        for module in self.modules():
            if isinstance(module, BasicConv2d):
                module.fold()


class FaceNet(FrozenNet):
    """Maps crops, float (B, 3, 112, 112) RGB in [-1, 1], to L2-normalised embeddings (B, 512)."""

    embedding_size = 512

    def __init__(self) -> None:
        super().__init__()
        self.body = InceptionResnetV1()

    @classmethod
    def load(cls) -> Self:
        net = cls()
        net.body.fill(torch.load(fetch(cls.asset), map_location="cpu", weights_only=True))
        return net.freeze()

    def forward(self, images: Tensor) -> Tensor:
        faces = F.interpolate(images, size=(INPUT_SIZE, INPUT_SIZE), mode="bilinear", align_corners=False)
        return F.normalize(self.body(faces * (127.5 / 128)))


@recognizers.register("facenet_vggface2")
class FaceNetVggFace2(FaceNet):
    """Trained on VGGFace2: 3.3 million images of 8631 people."""

    name = "facenet_vggface2"
    asset = "facenet_vggface2"


@recognizers.register("facenet_casia")
class FaceNetCasia(FaceNet):
    """Trained on CASIA-WebFace: 0.5 million images of 10575 people."""

    name = "facenet_casia"
    asset = "facenet_casia"
