"""The generator sees which part of the face is where: regions, neither colours nor texture."""

from torch import Tensor
from torch.nn import functional as F

from trainables.conditioning.needs import require
from veil.interfaces import FACE_PARTS, FaceBatch
from veil.registry import conditionings


@conditionings.register("parsing")
class Parsing:
    """The parsing map, one channel a part: numbers of parts have no order that one channel could show."""

    channels = len(FACE_PARTS)
    needs = frozenset({"parsing"})

    def __call__(self, faces: FaceBatch) -> Tensor:
        """Return float (B, 15, 112, 112), 1 where the part is and -1 elsewhere; parts in the order of FACE_PARTS."""
        one_hot = F.one_hot(require(faces, "parsing").long(), len(FACE_PARTS))
        return one_hot.permute(0, 3, 1, 2).to(faces.images.dtype) * 2 - 1
