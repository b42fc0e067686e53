"""The average face of an expression, published as it is: what a trained generator has to add to."""

from typing import TYPE_CHECKING, Literal

from torch import Tensor

from trainables.conditioning.archetype import Archetype, ArchetypeLabel
from veil.errors import ConfigError
from veil.registry import anonymizers

if TYPE_CHECKING:
    from veil.interfaces import FaceBatch

Reading = Literal["label", "posterior"]


@anonymizers.register("average_face")
class AverageFace:
    """Shows a face's expression on the average face of FER-2013's people; nothing else of the face comes through.

    Args:
        reading: "label" shows the most probable expression, so that there are seven images in all; "posterior" mixes
            the average faces as the expression net's posterior says.

    Attributes:
        models: SHA-256 of the net through which the clear face is seen, by its name.
    """

    def __init__(self, reading: Reading = "label") -> None:
        if reading not in ("label", "posterior"):
            raise ConfigError(f"average_face reading is {reading!r}, expected 'label' or 'posterior'")
        self._paint = ArchetypeLabel() if reading == "label" else Archetype()
        self.models = self._paint.models

    def __call__(self, faces: "FaceBatch") -> Tensor:
        """Return float (B, 3, 112, 112), grey in [-1, 1]."""
        return self._paint(faces).expand(-1, 3, -1, -1).contiguous()
