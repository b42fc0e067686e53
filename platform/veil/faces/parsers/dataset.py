"""Parsing maps that a dataset brings along, such as CelebAMask-HQ's, instead of computed ones."""

from typing import TYPE_CHECKING

from veil.interfaces import CROP_SIZE, NO_PART
from veil.registry import parsers

if TYPE_CHECKING:
    from torch import Tensor


@parsers.register("dataset")
class DatasetMaps:
    """Parses nothing itself: preparation warps the maps of the dataset, and no map can be had from a crop alone."""

    name = "dataset"
    asset_sha256 = ""
    failure = "the dataset has no parsing map for this image"

    def __call__(self, images: "Tensor", landmarks68: "Tensor") -> "Tensor":
        """Return uint8 (B, 112, 112), NO_PART throughout."""
        import torch

        return torch.full((len(images), CROP_SIZE, CROP_SIZE), NO_PART, dtype=torch.uint8, device=images.device)
