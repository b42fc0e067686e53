"""A trained generator as an anonymizer."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from veil.interfaces import Conditioning, FaceBatch

CHUNK_IMAGES = 32


class GeneratorAnonymizer:
    """Shows the generator the conditioning signal and nothing else; deterministic.

    Args:
        generator: raw net mapping (B, C, 112, 112) to (B, 3, 112, 112) in [-1, 1].
        conditioning: what it sees, C channels.

    Attributes:
        needs: signals that a face must have to be anonymized.
    """

    def __init__(self, generator: nn.Module, conditioning: "Conditioning") -> None:
        self.generator = generator.eval().requires_grad_(False)
        self.conditioning = conditioning
        self.needs = conditioning.needs

    @torch.no_grad()
    def _generate(self, condition: Tensor) -> Tensor:
        device = next(self.generator.parameters()).device
        # In chunks, so that a whole dataset at once does not need the memory of one.
        return torch.cat([self.generator(part.to(device)) for part in condition.split(CHUNK_IMAGES)])

    def __call__(self, faces: "FaceBatch") -> Tensor:
        """Return float (B, 3, 112, 112) in [-1, 1], on the faces' device."""
        return self._generate(self.conditioning(faces)).float().clamp(-1, 1).to(faces.images.device)
