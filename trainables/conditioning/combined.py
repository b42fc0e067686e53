"""Sums of conditionings: their channels side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from veil.registry import conditionings

if TYPE_CHECKING:
    from veil.interfaces import Conditioning, FaceBatch


class Combined:
    """Several signals at once, their channels concatenated in the order given.

    Args:
        parts: at least one conditioning.

    Attributes:
        channels: sum of the parts' channels.
        needs: union of the parts' needs.
        models: SHA-256 of the weights, by name, of all frozen nets that the parts look through.
        canvas: channel of the first part that paints a face; None if none does.
    """

    def __init__(self, *parts: "Conditioning") -> None:
        self.parts = parts
        self.channels = sum(part.channels for part in parts)
        self.needs: frozenset[str] = frozenset().union(*(part.needs for part in parts))

        painted = [
            sum(before.channels for before in parts[:index]) + part.canvas
            for index, part in enumerate(parts)
            if getattr(part, "canvas", None) is not None
        ]
        self.canvas: int | None = painted[0] if painted else None

    @property
    def models(self) -> Mapping[str, str]:
        return {name: sha for part in self.parts for name, sha in getattr(part, "models", {}).items()}

    def __call__(self, faces: "FaceBatch") -> Tensor:
        """Return float (B, C, 112, 112) in [-1, 1]."""
        return torch.cat([part(faces) for part in self.parts], dim=1)


def build_conditioning(name: str) -> "Conditioning":
    """Build a registered conditioning, or the sum of several joined by "+".

    A name that is registered as a whole ("masked+landmarks") is taken as such.

    Raises:
        ConfigError: a part is not registered; the nearest is named.
    """
    if "+" not in name or name in conditionings.names():
        return conditionings.get(name)()
    return Combined(*(conditionings.get(part)() for part in name.split("+")))
