"""The generator sees the context and the drawn landmarks (after DeepPrivacy)."""

from trainables.conditioning.combined import Combined
from trainables.conditioning.landmarks import Landmarks
from trainables.conditioning.masked import Masked
from veil.registry import conditionings


@conditionings.register("masked+landmarks")
class MaskedLandmarks(Combined):
    """Everything but the face, plus polylines through the 68 landmarks."""

    def __init__(self) -> None:
        super().__init__(Masked(), Landmarks())
