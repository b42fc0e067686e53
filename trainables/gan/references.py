"""What the frozen nets say of the originals: computed once, shared by all trials, kept on disk."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainables.gan.data import Samples, TrainingFaces
from veil.faces.table import images_to_tensor

_CHUNK_IMAGES = 32


class References(NamedTuple):
    """Outputs on the originals, first as they are, then mirrored.

    Attributes:
        embeddings: for each proxy, (N, 2, D), L2-normalised.
        logits: the teacher's, (N, 2, 7).
    """

    embeddings: tuple[Tensor, ...]
    logits: Tensor

    def of(self, samples: Samples) -> tuple[list[Tensor], Tensor]:
        """Embeddings (B, D) by proxy and logits (B, 7) of the samples."""
        faces, sides = torch.from_numpy(samples.indices), torch.from_numpy(samples.mirrored).long()
        faces, sides = faces.to(self.logits.device), sides.to(self.logits.device)
        return [embeddings[faces, sides] for embeddings in self.embeddings], self.logits[faces, sides]


def references(
    faces: TrainingFaces, proxies: tuple[nn.Module, ...], teacher: nn.Module, device: torch.device | str, cache: Path
) -> References:
    """Outputs of the proxies and the teacher on all faces and their mirror images.

    Args:
        faces: N faces.
        proxies: on `device`, with `asset_sha256`.
        teacher: on `device`, with `asset_sha256`.
        device: where the nets are and the result shall be.
        cache: folder shared by trials; outputs are kept by face key and model hash, computed by whoever comes first.
    """
    return References(
        tuple(_cached(faces, proxy, device, cache) for proxy in proxies), _cached(faces, teacher, device, cache)
    )


def _cached(faces: TrainingFaces, net: nn.Module, device: torch.device | str, cache: Path) -> Tensor:
    path = cache / f"references-{faces.key}-{net.asset_sha256}.safetensors"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            partial = path.with_suffix(f".{os.getpid()}")
            save_file({"outputs": _outputs(faces, net, device).cpu()}, partial)
            os.replace(partial, path)
    return load_file(path)["outputs"].to(device)


@torch.no_grad()
def _outputs(faces: TrainingFaces, net: Callable[[Tensor], Tensor], device: torch.device | str) -> Tensor:
    outputs = []
    for first in range(0, len(faces), _CHUNK_IMAGES):
        pixels = images_to_tensor(faces.images[first : first + _CHUNK_IMAGES]).to(device)
        outputs.append(torch.stack([net(pixels), net(pixels.flip(-1))], dim=1))
    return torch.cat(outputs)
