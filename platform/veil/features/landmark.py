"""Features of face-api's 68-landmark net (256-d), which no loss uses; a few hundred kilobytes, always at hand.

They describe where a face's parts lie and how they look, and little of texture, skin or background: pixelation hardly
moves them. A kernel distance of these features tells whether faces look like faces to a landmark net, and must not be
compared with the KID of Inception features that papers report.
"""

from typing import Self

from torch import Tensor, nn

from veil.faces.landmarks import Landmarker
from veil.registry import feature_nets
from veil.weights.frozen import FrozenNet


@feature_nets.register("landmark_features")
class LandmarkFeatures(FrozenNet):
    """Maps crops, float (B, 3, 112, 112) RGB in [-1, 1], to pooled features before the landmark head (B, 256)."""

    name = "landmark_features"
    asset = Landmarker.asset
    feature_size = 256

    def __init__(self, landmarker: Landmarker) -> None:
        super().__init__()
        self.landmarker = landmarker
        self.landmarker.body.head = nn.Identity()  # type: ignore[assignment]

    @classmethod
    def load(cls) -> Self:
        return cls(Landmarker.load()).freeze()

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.landmarker.body(self.landmarker.windows(images))
        return features
