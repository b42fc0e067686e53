"""A trained generator as an anonymizer."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainables.gan.codes import CodeAtUse

if TYPE_CHECKING:
    from veil.interfaces import Conditioning, FaceBatch

CHUNK_IMAGES = 32


class GeneratorAnonymizer:
    """Shows the generator the conditioning signal and a code of each image, and nothing else; deterministic.

    Args:
        generator: raw net mapping (B, C, 112, 112), and codes (B, S) if it has them, to (B, 3, 112, 112) in [-1, 1].
        conditioning: what it sees, C channels.
        code: maps clear images (B, 3, 112, 112) to codes (B, S); None for a generator without codes.

    Attributes:
        needs: signals that a face must have to be anonymized.
        models: SHA-256 of the frozen nets that the conditioning looks through, by name.
    """

    def __init__(
        self, generator: nn.Module, conditioning: "Conditioning", code: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self.generator = generator.eval().requires_grad_(False)
        self.conditioning = conditioning
        self.code = code
        self.needs = conditioning.needs
        self.models = getattr(conditioning, "models", {})

    def as_one_person(self, seed: int) -> "GeneratorAnonymizer":
        """The same, but all images show one person, who is drawn by a seed; itself if it has no code."""
        code = self.code.drawn_from(seed) if isinstance(self.code, CodeAtUse) else self.code
        return GeneratorAnonymizer(self.generator, self.conditioning, code)

    @torch.no_grad()
    def __call__(self, faces: "FaceBatch") -> Tensor:
        """Return float (B, 3, 112, 112) in [-1, 1], on the faces' device."""
        device = next(self.generator.parameters()).device
        inputs = (
            [self.conditioning(faces)] if self.code is None else [self.conditioning(faces), self.code(faces.images)]
        )
        # In chunks, so that a whole dataset at once does not need the memory of one.
        chunks = zip(*(one.split(CHUNK_IMAGES) for one in inputs), strict=True)
        images = torch.cat([self.generator(*(part.to(device) for part in parts)) for parts in chunks])
        return images.float().clamp(-1, 1).to(faces.images.device)
