"""The generator sees the drawn landmarks only: shape and expression, no texture (after GANonymization)."""

from typing import TYPE_CHECKING

from torch import Tensor

from trainables.conditioning.geometry import draw_polylines
from veil.registry import conditionings

if TYPE_CHECKING:
    from veil.interfaces import FaceBatch


@conditionings.register("landmarks")
class Landmarks:
    """Polylines through the 68 landmarks."""

    channels = 1
    needs = frozenset({"landmarks68"})

    def __call__(self, faces: "FaceBatch") -> Tensor:
        """Return float (B, 1, 112, 112), -1 background to 1 line."""
        return draw_polylines(faces)
