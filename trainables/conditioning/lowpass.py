"""The generator sees a coarse mosaic: colours and pose, little detail."""

from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional as F

from veil.registry import conditionings

if TYPE_CHECKING:
    from veil.interfaces import FaceBatch

CELLS = 14
"""Cells per side: 8 × 8 pixels of a 112-pixel crop each."""


@conditionings.register("lowpass")
class LowPass:
    """The image averaged to 14 × 14 cells, smoothly enlarged again."""

    channels = 3
    needs: frozenset[str] = frozenset()

    def __call__(self, faces: "FaceBatch") -> Tensor:
        """Return float (B, 3, 112, 112) in [-1, 1]."""
        cells = F.adaptive_avg_pool2d(faces.images, CELLS)
        return F.interpolate(cells, size=faces.images.shape[-2:], mode="bilinear", align_corners=False)
