"""The generator sees a few dots: where the eyes, the nose and the corners of the mouth are (after DeepPrivacy)."""

import torch
from torch import Tensor

from trainables.conditioning.geometry import draw_dots
from trainables.conditioning.heatmaps import SIGMA
from trainables.conditioning.needs import require
from veil.faces.ibug import LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from veil.interfaces import FaceBatch
from veil.registry import conditionings

NOSE_TIP = 30
MOUTH_CORNERS = (OUTER_LIPS.start, OUTER_LIPS.start + 6)


@conditionings.register("keypoints")
class Keypoints:
    """Dots at the middles of the eyes, the tip of the nose and the corners of the mouth.

    DeepPrivacy shows its generator nose, eyes, ears and shoulders. Ears and shoulders lie outside aligned crops; the
    corners of the mouth, which it does not have, stand in for them.

    Source: Hukkelås, Mester & Lindseth, DeepPrivacy: A Generative Adversarial Network for Face Anonymization, ISVC
    2019.
    """

    channels = 1
    needs = frozenset({"landmarks68"})

    def __call__(self, faces: FaceBatch) -> Tensor:
        """Return float (B, 1, 112, 112), -1 background to 1 keypoint."""
        landmarks = require(faces, "landmarks68")
        eyes = [landmarks[:, eye.start : eye.stop].mean(dim=1, keepdim=True) for eye in (RIGHT_EYE, LEFT_EYE)]
        return draw_dots(torch.cat([*eyes, landmarks[:, [NOSE_TIP, *MOUTH_CORNERS]]], dim=1), SIGMA)
