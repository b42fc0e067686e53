"""68 landmarks (iBUG-68) of aligned crops, by face-api's landmark net.

Source: V. Mühler, face-api.js, 2018.
"""

from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from veil.assets import fetch
from veil.interfaces import CROP_SIZE
from veil.weights.face_api import read_weights
from veil.weights.face_api_extractor import FaceApiNet
from veil.weights.frozen import FrozenNet

LANDMARKS = 68

# The net expects the box of a face detector, from the brows to below the chin. Of the windows tried on 20 people of
# ORL, this one agrees best with dlib's 68-landmark predictor: 1.9 px mean distance on the 20 other people. What lies
# below the crop is black, as face-api pads.
_WINDOW_LEFT, _WINDOW_TOP, _WINDOW_SIZE = -2.0, 28.0, 116.0


class Landmarker(FrozenNet):
    """Maps crops, float (B, 3, 112, 112) RGB in [-1, 1], to landmarks (B, 68, 2), (x, y) in crop pixels.

    Pixel centres have whole coordinates. Points of the jaw may lie outside the crop.
    """

    name = "face_api_landmark_68"
    asset = "face_api_landmark_68_bin"
    grid: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = FaceApiNet(outputs=2 * LANDMARKS)
        # Centre of the crop's pixel i is at (2 i + 1) / size - 1 in the coordinates of grid_sample.
        steps = (torch.arange(CROP_SIZE) + 0.5) / CROP_SIZE * _WINDOW_SIZE
        y, x = torch.meshgrid(steps + _WINDOW_TOP, steps + _WINDOW_LEFT, indexing="ij")
        self.register_buffer("grid", torch.stack([x, y], dim=-1)[None] * (2 / CROP_SIZE) - 1)

    @classmethod
    def load(cls) -> Self:
        net = cls()
        net.body.fill(read_weights(fetch(cls.asset), fetch("face_api_landmark_68_manifest")))
        return net.freeze()

    def windows(self, images: Tensor) -> Tensor:
        """The part of each crop that `body` sees, in [0, 255], black below the crop."""
        grid = self.grid.expand(len(images), -1, -1, -1)
        return F.grid_sample((images + 1) * 127.5, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def forward(self, images: Tensor) -> Tensor:
        fractions = self.body(self.windows(images)).view(-1, LANDMARKS, 2)
        # The net answers in pixels of its input, divided by its size.
        window = fractions * CROP_SIZE + 0.5
        origin = images.new_tensor([_WINDOW_LEFT, _WINDOW_TOP]) - 0.5
        return window * (_WINDOW_SIZE / CROP_SIZE) + origin


def load_landmarker(device: str | torch.device = "cpu") -> Landmarker:
    """Build the 68-landmark net, frozen, on `device`.

    Raises:
        AssetError: its weights cannot be had.
    """
    return Landmarker.load().to(device)
