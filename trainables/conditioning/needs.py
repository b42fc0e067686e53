"""What a conditioning needs of a face: there, or an error that says how many faces lack it."""

import torch
from torch import Tensor

from veil.errors import DataError
from veil.faces.signals import SIGNALS
from veil.interfaces import NO_PART, FaceBatch


def require(faces: FaceBatch, need: str) -> Tensor:
    """A signal that every one of some faces has.

    Args:
        faces: B faces.
        need: one of `veil.faces.signals.SIGNALS`.

    Returns:
        (B, …), as in FaceBatch.

    Raises:
        DataError: a face lacks it.
    """
    values = {"landmarks68": faces.landmarks, "parsing": faces.parsing, "pose": faces.pose}[need]
    if values is None:
        missing = torch.ones(len(faces.images), dtype=torch.bool)
    elif need == "parsing":
        missing = (values == NO_PART).flatten(1).all(dim=1)
    else:
        missing = ~values.isfinite().flatten(1).all(dim=1)
    if values is None or missing.any():
        raise DataError(
            f"{int(missing.sum())} of {len(missing)} faces have no {SIGNALS[need]}; leave them out, or choose a "
            "conditioning that needs none"
        )
    return values
