"""Features of LPIPS's AlexNet (256-d): ImageNet features that need no large download.

Source: A. Krizhevsky, One Weird Trick for Parallelizing Convolutional Neural Networks, 2014, as torchvision trained it.

They see texture and sharpness as well as shape, no recognizer or expression net is related to them, and no loss uses
them. A kernel distance of these features ranks anonymizers among themselves; it must not be compared with the KID of
Inception features that papers report.
"""

from typing import Self

from torch import Tensor

from veil.features.lpips import AlexNet, PerceptualDistance
from veil.registry import feature_nets
from veil.weights.frozen import FrozenNet


@feature_nets.register("alexnet")
class AlexNetFeatures(FrozenNet):
    """Maps crops, float (B, 3, 112, 112) RGB in [-1, 1], to the means of the last convolution's maps (B, 256)."""

    name = "alexnet"
    asset = PerceptualDistance.asset
    feature_size = 256

    def __init__(self, backbone: AlexNet) -> None:
        super().__init__()
        self.backbone = backbone

    @classmethod
    def load(cls) -> Self:
        return cls(PerceptualDistance.load().backbone).freeze()

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone(images)[-1].mean(dim=(2, 3))
