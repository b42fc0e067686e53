"""SFace (128-d), OpenCV Zoo's recognizer.

Source: Y. Zhong et al., SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition, IEEE TIP 2021.
"""

from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F

from veil.assets import fetch
from veil.registry import recognizers
from veil.weights.frozen import FrozenNet
from veil.weights.onnx_graph import load_onnx


@recognizers.register("sface")
class SFace(FrozenNet):
    """Maps crops, float (B, 3, 112, 112) RGB in [-1, 1], to L2-normalised embeddings (B, 128)."""

    name = "sface"
    asset = "sface"
    embedding_size = 128

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    @classmethod
    def load(cls) -> Self:
        return cls(load_onnx(fetch(cls.asset))).freeze()

    def forward(self, images: Tensor) -> Tensor:
        # The graph takes RGB bytes and scales them itself.
        return F.normalize(self.body((images + 1) * 127.5))
