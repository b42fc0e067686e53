"""The generator sees where the head is turned, and nothing else."""

from torch import Tensor

from trainables.conditioning.needs import require
from veil.interfaces import FaceBatch
from veil.registry import conditionings

RANGE_DEGREES = 90.0
"""Angle that is shown as 1; beyond it, which no aligned face is, the signal stays at 1."""


@conditionings.register("pose")
class Pose:
    """Yaw, pitch and roll as three constant planes; meant for sums such as "masked+pose"."""

    channels = 3
    needs = frozenset({"pose"})

    def __call__(self, faces: FaceBatch) -> Tensor:
        """Return float (B, 3, 112, 112), each angle divided by 90°."""
        planes = (require(faces, "pose") / RANGE_DEGREES).clamp(-1, 1).to(faces.images.dtype)
        return planes[:, :, None, None].expand(-1, -1, *faces.images.shape[-2:]).contiguous()
