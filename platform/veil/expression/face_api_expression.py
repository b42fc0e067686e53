"""face-api's expression net: independent of mini-Xception in architecture, training data and colour input.

Source: V. Mühler, face-api.js, 2018.
"""

from typing import Self

import torch
from torch import Tensor

from veil.assets import fetch
from veil.interfaces import EXPRESSIONS
from veil.registry import expression_nets
from veil.weights.face_api import read_weights
from veil.weights.face_api_extractor import FaceApiNet
from veil.weights.frozen import FrozenNet

_ORDER = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")


@expression_nets.register("face_api_expression")
class FaceApiExpression(FrozenNet):
    """Maps crops, float (B, 3, 112, 112) RGB in [-1, 1], to logits (B, 7) in the order of EXPRESSIONS.

    Its posteriors are far too sure, and are used as they are: calibrated ones rank anonymizers no better.
    """

    name = "face_api_expression"
    asset = "face_api_expression_bin"
    order: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = FaceApiNet(outputs=len(EXPRESSIONS))
        self.register_buffer("order", torch.tensor([_ORDER.index(name) for name in EXPRESSIONS]))

    @classmethod
    def load(cls) -> Self:
        net = cls()
        net.body.fill(read_weights(fetch(cls.asset), fetch("face_api_expression_manifest")))
        return net.freeze()

    def forward(self, images: Tensor) -> Tensor:
        return self.body((images + 1) * 127.5)[:, self.order]
