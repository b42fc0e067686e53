"""Images of many sizes as batches of one size each, for detectors that are torch nets."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

BATCH_PIXELS = 4_000_000
"""Pixels of a batch: some 60 small images, or 8 views of a large one."""


def same_size_batches(images: Sequence[np.ndarray], device: torch.device | str) -> Iterator[tuple[list[int], Tensor]]:
    """Group images by size.

    Args:
        images: BGR uint8 (H, W, 3) each, of any sizes.
        device: where the batches go.

    Yields:
        Places of some images of one size, and their pixels, float (B, 3, H, W), BGR in [0, 255].
    """
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        groups[image.shape].append(index)
    for (height, width, _), indices in groups.items():
        size = max(1, BATCH_PIXELS // (height * width))
        for start in range(0, len(indices), size):
            chosen = indices[start : start + size]
            pixels = torch.from_numpy(np.stack([images[index] for index in chosen])).to(device)
            yield chosen, pixels.permute(0, 3, 1, 2).float()
