"""What the frozen nets say of the originals: of a study's own faces once for all trials, of extra faces when shown."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainables.gan.data import Samples, TrainingFaces
from veil.faces.table import images_to_tensor

_CHUNK_IMAGES = 32


@dataclass(frozen=True)
class References:
    """Outputs on the originals: those of the N study's own faces are known, those of extra faces are asked for.

    Extra faces may be too many for all of them to be asked for: a training sees a few.

    Attributes:
        faces: all faces.
        proxies: frozen nets.
        teacher: frozen net.
        embeddings: for each proxy, (N, 2, D), L2-normalised, of each own face as it is, then mirrored.
        logits: the teacher's, (N, 2, 7).
    """

    faces: TrainingFaces
    proxies: tuple[nn.Module, ...]
    teacher: nn.Module
    embeddings: tuple[Tensor, ...]
    logits: Tensor

    def of(self, samples: Samples) -> tuple[list[Tensor], Tensor]:
        """Embeddings (B, D) by proxy and logits (B, 7) of the samples."""
        is_extra = samples.indices >= len(self.logits)
        device = self.logits.device
        own = torch.from_numpy(np.where(is_extra, 0, samples.indices)).to(device)
        sides = torch.from_numpy(samples.mirrored).long().to(device)
        known = [outputs[own, sides] for outputs in (*self.embeddings, self.logits)]
        if is_extra.any():
            pixels = images_to_tensor(self.faces.images[samples.indices[is_extra]]).to(device)
            mirrored = torch.from_numpy(samples.mirrored[is_extra]).to(device)
            pixels = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)
            places = torch.from_numpy(is_extra).to(device)
            with torch.no_grad():
                for outputs, net in zip(known, (*self.proxies, self.teacher), strict=True):
                    outputs[places] = net(pixels).to(outputs.dtype)
        *embeddings, logits = known
        return embeddings, logits


def references(
    faces: TrainingFaces, proxies: tuple[nn.Module, ...], teacher: nn.Module, device: torch.device | str, cache: Path
) -> References:
    """Outputs of the proxies and the teacher on the study's own faces and their mirror images.

    Args:
        faces: the study's own and extra faces.
        proxies: on `device`, with `asset_sha256`.
        teacher: on `device`, with `asset_sha256`.
        device: where the nets are and the result shall be.
        cache: folder shared by trials; outputs are kept by face key and model hash, computed by whoever comes first.
    """
    *embeddings, logits = (_cached(faces, net, device, cache) for net in (*proxies, teacher))
    return References(faces, proxies, teacher, tuple(embeddings), logits)


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
    own = len(faces) - faces.extra
    for first in range(0, own, _CHUNK_IMAGES):
        pixels = images_to_tensor(faces.images[first : min(first + _CHUNK_IMAGES, own)]).to(device)
        outputs.append(torch.stack([net(pixels), net(pixels.flip(-1))], dim=1))
    return torch.cat(outputs)
