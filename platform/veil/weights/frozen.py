"""Base of the nets that judge faces: weights fixed, always in evaluation mode, gradients only towards the input."""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

from torch import nn

from veil.assets.registry import load_registry


class FrozenNet(nn.Module, ABC):
    """A net with fixed weights that maps aligned crops, float (B, 3, 112, 112) RGB in [-1, 1].

    Attributes:
        name: name it is registered under.
        asset: asset that holds its weights.
        asset_sha256: SHA-256 of the weight file in hexadecimal; part of cache keys and role checks.
    """

    name: ClassVar[str]
    asset: ClassVar[str]
    asset_sha256: str

    @classmethod
    @abstractmethod
    def load(cls) -> Self:
        """Build the net on the CPU with its weights, frozen.

        Raises:
            AssetError: the weights cannot be had.
        """

    @classmethod
    def weights_sha256(cls) -> str:
        """SHA-256 of the weight file, without loading it.

        Raises:
            AssetError: the file is not known.
        """
        return load_registry().asset(cls.asset).sha256

    def freeze(self) -> Self:
        """Fix all weights and switch to evaluation mode."""
        self.asset_sha256 = self.weights_sha256()
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever a surrounding module does."""
        return super().train(False)
