"""The generator sees everything but the face: hair, ears, clothes, background."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trainables.conditioning.geometry import face_mask
from veil.registry import conditionings

if TYPE_CHECKING:
    from veil.interfaces import FaceBatch


@conditionings.register("masked")
class Masked:
    """The image with the face grey, and the mask itself so that a grey background is not taken for a face."""

    channels = 4
    needs = frozenset({"landmarks68"})

    def __call__(self, faces: "FaceBatch") -> Tensor:
        """Return float (B, 4, 112, 112) in [-1, 1]: masked RGB, then the mask (1 inside the face)."""
        mask = face_mask(faces)
        # Binary: an antialiased edge would let a trace of the face's own pixels through.
        outside = (mask <= -1).to(faces.images.dtype)
        return torch.cat([faces.images * outside, mask], dim=1)
