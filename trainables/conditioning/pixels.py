"""The generator sees the face itself: the easiest to leak through."""

from typing import TYPE_CHECKING

from torch import Tensor

from veil.registry import conditionings

if TYPE_CHECKING:
    from veil.interfaces import FaceBatch


@conditionings.register("pixels")
class Pixels:
    """All pixels of the original (pix2pix's usual condition)."""

    channels = 3
    needs: frozenset[str] = frozenset()

    def __call__(self, faces: "FaceBatch") -> Tensor:
        """Return float (B, 3, 112, 112) in [-1, 1]."""
        return faces.images
