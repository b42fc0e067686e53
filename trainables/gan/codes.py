"""What a generator is told beside its condition: whom to show, and how much each loss counts."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from veil.faces.table import tensor_to_images

IdentityCode = Literal["none", "random", "target"]
"""Whom to show: no code; standard normal numbers; one of P people, one-hot (CIAGAN, Maximov 2020)."""

Range = tuple[float, float]


@dataclass(frozen=True)
class CodeSettings:
    """Numbers that a generator gets beside its condition: an identity code, then one number for each λ of `ranges`.

    Attributes:
        identity: kind of the identity code.
        size: of the identity code; number of people if it is "target", 0 if it is "none".
        ranges: (low, high) of each λ that a loss-conditional training draws, by name of the term.
    """

    identity: IdentityCode = "none"
    size: int = 0
    ranges: Mapping[str, Range] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Length of the whole code; 0 if there is none."""
        return self.size + len(self.ranges)

    def draw_identity(self, generator: np.random.Generator, person: int = -1) -> np.ndarray:
        """Draw an identity code, float32 (size,).

        Args:
            generator: where chance comes from.
            person: number of the person who shall not be drawn as a target; -1 if any may be.
        """
        if self.identity == "target":
            code = np.zeros(self.size, np.float32)
            target = generator.integers(self.size - (person >= 0))
            code[target + (0 <= person <= target)] = 1
            return code
        return generator.standard_normal(self.size, np.float32)

    def preferences(self, weights: Mapping[str, float]) -> list[float]:
        """λ of the terms in `ranges` as numbers from -1 (the low end) to 1, on a logarithmic scale."""
        return [float(np.interp(np.log(weights[term]), np.log(ends), (-1, 1))) for term, ends in self.ranges.items()]

    def weights(self, preferences: Tensor) -> dict[str, Tensor]:
        """λ (B,) by name of the term: the inverse of `preferences`, for (B, len(ranges)) of them."""
        ends = {term: np.log(ends) for term, ends in self.ranges.items()}
        return {
            term: torch.exp(low + (high - low) * (preferences[:, index] + 1) / 2)
            for index, (term, (low, high)) in enumerate(ends.items())
        }


NO_CODE = CodeSettings()


@dataclass(frozen=True)
class CodeAtUse:
    """Which code an image gets when a generator is used; a pure function of the image, its batch plays no part.

    Attributes:
        identity: kind of the identity code.
        size: of the identity code.
        at_use: "image" derives the identity code from the image's pixels, so that the published images of a person
            show several people; "fixed" gives all images the same.
        seed: of the training; another generator shows other people.
        preferences: λ of a loss-conditional generator, see `CodeSettings.preferences`.
    """

    identity: IdentityCode
    size: int
    at_use: Literal["image", "fixed"]
    seed: int
    preferences: tuple[float, ...] = ()

    def __call__(self, images: Tensor) -> Tensor:
        """Codes float32 (B, size + len(preferences)) of clear images, float (B, 3, H, W) in [-1, 1], on the CPU."""
        pixels = tensor_to_images(images) if self.at_use == "image" else np.zeros((len(images), 0), np.uint8)
        codes = [[*self._identity(one.tobytes()), *self.preferences] for one in pixels]
        return torch.tensor(codes, dtype=torch.float32).view(len(images), self.size + len(self.preferences))

    def drawn_from(self, seed: int) -> Callable[[Tensor], Tensor]:
        """Codes that show one person in all images: drawn by a seed where each image would have its own.

        For the frames of a clip. Fixed codes stay as they are.
        """
        if self.at_use == "fixed":
            return self
        code = torch.tensor([*self._identity(f"seed {seed}".encode()), *self.preferences], dtype=torch.float32)
        return lambda images: code.expand(len(images), -1)

    def _identity(self, pixels: bytes) -> np.ndarray:
        # In 8 bits, as a photo is stored: an image that was saved and opened again is the same image.
        digest = hashlib.sha256(f"{self.seed}\0".encode() + pixels).digest()
        generator = np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], np.uint64)))
        return CodeSettings(self.identity, self.size).draw_identity(generator)
