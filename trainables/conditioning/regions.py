"""The generator sees the face's own pixels where expressions happen: eyes, brows, mouth; grey elsewhere."""

from typing import ClassVar

import torch
from torch import Tensor

from trainables.conditioning.geometry import region_mask
from veil.faces.ibug import LEFT_BROW, LEFT_EYE, OUTER_LIPS, RIGHT_BROW, RIGHT_EYE
from veil.interfaces import FaceBatch
from veil.registry import conditionings

MARGIN = 4
"""Pixels around the landmarks of a part that are shown: the lids and the corners of the mouth, no more."""


class Regions:
    """The image inside regions, grey outside, and the regions themselves, so that a grey lip is not taken for a gap."""

    channels = 4
    needs = frozenset({"landmarks68"})
    parts: ClassVar[tuple[range, ...]]

    def __call__(self, faces: FaceBatch) -> Tensor:
        """Return float (B, 4, 112, 112) in [-1, 1]: RGB inside the regions, then the mask (1 inside, -1 outside)."""
        inside = region_mask(faces, self.parts, MARGIN).to(faces.images.dtype)
        return torch.cat([faces.images * inside, inside * 2 - 1], dim=1)


@conditionings.register("eyes")
class Eyes(Regions):
    """Pixels of both eyes."""

    parts = (RIGHT_EYE, LEFT_EYE)


@conditionings.register("mouth")
class Mouth(Regions):
    """Pixels of the mouth."""

    parts = (OUTER_LIPS,)


@conditionings.register("expression_regions")
class ExpressionRegions(Regions):
    """Pixels of eyes, brows and mouth."""

    parts = (RIGHT_BROW, LEFT_BROW, RIGHT_EYE, LEFT_EYE, OUTER_LIPS)
