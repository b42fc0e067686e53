"""What the frozen nets say of the originals: of a study's own faces once for all trials, of extra faces when shown."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.gan.data import Samples, TrainingFaces
from veil.errors import ConfigError
from veil.faces.table import images_to_tensor

_CHUNK_IMAGES = 32


class Seen(NamedTuple):
    """What the frozen nets say of B originals.

    Attributes:
        embeddings: for each proxy, (B, D), L2-normalised.
        teacher: (B, F + 7), features, if they are compared, and logits.
    """

    embeddings: list[Tensor]
    teacher: Tensor


class FeaturesAndLogits(nn.Module):
    """A teacher whose output (B, F + 7) has its features before its logits.

    Args:
        teacher: an expression net with `features_and_logits`.

    Raises:
        ConfigError: the teacher shows no features.
    """

    def __init__(self, teacher: nn.Module) -> None:
        super().__init__()
        check_shows_features(teacher)
        self.teacher = teacher
        self.asset_sha256 = f"{teacher.asset_sha256}-features"

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat(self.teacher.features_and_logits(images), dim=1)


def check_shows_features(teacher: nn.Module) -> None:
    """Refuse a teacher whose features cannot be compared.

    Raises:
        ConfigError: the teacher shows no features.
    """
    if not hasattr(teacher, "features_and_logits"):
        raise ConfigError(
            f"expression_loss compares features, but the teacher {getattr(teacher, 'name', type(teacher).__name__)!r} "
            "has no `features_and_logits`; set expression_loss to 'kl', or roles.teacher to 'fer_resnet'"
        )


@dataclass(frozen=True)
class References:
    """Outputs on the originals: those of the N study's own faces are known, those of extra faces are asked for.

    Extra faces may be too many for all of them to be asked for: a training sees a few.

    Attributes:
        faces: all faces.
        proxies: frozen nets.
        teacher: frozen net that maps images to (B, F + 7).
        embeddings: for each proxy, (N, 2, D), L2-normalised, of each own face as it is, then mirrored.
        teacher_outputs: (N, 2, F + 7).
    """

    faces: TrainingFaces
    proxies: tuple[nn.Module, ...]
    teacher: nn.Module
    embeddings: tuple[Tensor, ...]
    teacher_outputs: Tensor

    def of(self, samples: Samples) -> Seen:
        """What the nets say of the samples' originals."""
        is_extra = samples.indices >= len(self.teacher_outputs)
        device = self.teacher_outputs.device
        own = torch.from_numpy(np.where(is_extra, 0, samples.indices)).to(device)
        sides = torch.from_numpy(samples.mirrored).long().to(device)
        known = [outputs[own, sides] for outputs in (*self.embeddings, self.teacher_outputs)]
        if is_extra.any():
            pixels = images_to_tensor(self.faces.images[samples.indices[is_extra]]).to(device)
            mirrored = torch.from_numpy(samples.mirrored[is_extra]).to(device)
            pixels = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)
            places = torch.from_numpy(is_extra).to(device)
            with torch.no_grad():
                for outputs, net in zip(known, (*self.proxies, self.teacher), strict=True):
                    outputs[places] = net(pixels).to(outputs.dtype)
        *embeddings, teacher = known
        return Seen(embeddings, teacher)

    @cached_property
    def people(self) -> list[Tensor]:
        """For each proxy, the mean embeddings (P, D) of the study's own people, L2-normalised."""
        assert self.faces.people is not None, "a training with targets knows its people"
        chosen = F.one_hot(torch.from_numpy(self.faces.people)).float().to(self.teacher_outputs.device)
        return [F.normalize(chosen.T @ embeddings.sum(dim=1), dim=1) for embeddings in self.embeddings]


def references(
    faces: TrainingFaces, proxies: tuple[nn.Module, ...], teacher: nn.Module, device: torch.device | str, cache: Path
) -> References:
    """Outputs of the proxies and the teacher on the study's own faces and their mirror images.

    Args:
        faces: the study's own and extra faces.
        proxies: on `device`, with `asset_sha256`.
        teacher: on `device`, with `asset_sha256`; maps images to logits (B, 7), or to features before them.
        device: where the nets are and the result shall be.
        cache: folder shared by trials; outputs are kept by face key and model hash, computed by whoever comes first.
    """
    *embeddings, outputs = (_cached(faces, net, device, cache) for net in (*proxies, teacher))
    return References(faces, proxies, teacher, tuple(embeddings), outputs)


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
