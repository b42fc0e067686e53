"""The generator sees blurred dots where the landmarks are: shape and expression, softer than lines."""

import torch
from torch import Tensor

from trainables.conditioning.geometry import POLYLINES, draw_dots
from trainables.conditioning.needs import require
from veil.interfaces import FaceBatch
from veil.registry import conditionings

SIGMA = 1.75
"""Standard deviation of a dot in pixels: one pixel of a 64-pixel heatmap, as landmark nets are trained with.

Source: Newell, Yang & Deng, Stacked Hourglass Networks for Human Pose Estimation, ECCV 2016.
"""


@conditionings.register("heatmaps")
class Heatmaps:
    """Gaussian dots at the 68 landmarks, the greatest of each part: jaw, brows, nose, eyes and lips apart.

    One channel a part keeps what belongs together and which side it is on, at an eighth of the cost of one channel a
    landmark.
    """

    channels = len(POLYLINES)
    needs = frozenset({"landmarks68"})

    def __call__(self, faces: FaceBatch) -> Tensor:
        """Return float (B, 9, 112, 112), -1 background to 1 landmark; parts in the order of POLYLINES."""
        landmarks = require(faces, "landmarks68")
        return torch.cat([draw_dots(landmarks[:, a : b + 1], SIGMA) for a, b, _ in POLYLINES], dim=1)
