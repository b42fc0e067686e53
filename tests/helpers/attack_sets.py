"""Simulated embeddings and tiny face tables with planted truths, for the protocol's own tests."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from veil.config import SuiteConfig
from veil.faces.contract import CropContract
from veil.faces.table import FaceRow, FaceTable
from veil.interfaces import AttackSet, AttackSetting, FaceBatch
from veil.protocol.rendering import net_outputs, render

SIZE = 48
IMAGES = 10

# A quicker attacker than the default, and fewer resamples: what is planted here is coarse.
QUICK = {"informed": {"epochs": 60, "learning_rate": 0.03}}


def quick_suite(**changes) -> SuiteConfig:
    return SuiteConfig(**{"bootstrap_replicates": 200, "floor_permutations": 100, "strength": QUICK, **changes})


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def simulated_setting(
    anonymize: Callable[[np.ndarray, np.ndarray], np.ndarray], n_target: int = 10, n_owned: int = 8, seed: int = 0
) -> AttackSetting:
    """People as clusters on the sphere.

    Args:
        anonymize: maps clear embeddings (N, 48) and people (N,) to anonymized embeddings (N, 48).
    """
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(n_target + n_owned), IMAGES)
    centres = rng.normal(size=(n_target + n_owned, SIZE))
    clear = unit(centres[people] + 0.5 * rng.normal(size=(people.size, SIZE)))
    anonymized = anonymize(clear, people)
    sources = np.arange(people.size)

    def part(chosen: np.ndarray) -> AttackSet:
        return AttackSet(
            people[chosen], sources[chosen], clear[chosen].astype(np.float32), anonymized[chosen].astype(np.float32)
        )

    return AttackSetting(part(people < n_target), part(people >= n_target), seed=0)


def rotation(seed: int = 1) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(SIZE, SIZE)))[0]


class PatternRecognizer(nn.Module):
    """Recognizes people whose faces are coarse colour patterns: the pattern itself, contrast and brightness removed."""

    def __init__(self, name: str = "pattern", cells: int = 7) -> None:
        super().__init__()
        self.name = name
        self.asset_sha256 = f"{cells:064d}"
        self.embedding_size = 3 * cells * cells
        self.cells = cells

    def forward(self, images: Tensor) -> Tensor:
        coarse = nn.functional.adaptive_avg_pool2d(images, self.cells).flatten(1)
        # A tilt keeps an image without content from having no direction at all.
        tilt = torch.linspace(-0.05, 0.05, coarse.shape[1], dtype=coarse.dtype)
        return nn.functional.normalize(coarse - coarse.mean(dim=1, keepdim=True) + tilt, dim=1)


class CoarseFeatures(nn.Module):
    """Mean colours of a coarse grid, as features for a kernel distance."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "coarse_features"
        self.asset_sha256 = "f" * 64

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)


class StripeExpression(nn.Module):
    """Reads an expression from the brightness of seven stripes in the lowest rows."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "stripes"
        self.asset_sha256 = "e" * 64

    def forward(self, images: Tensor) -> Tensor:
        return 4 * nn.functional.adaptive_avg_pool2d(images[:, :, 96:].mean(dim=1, keepdim=True), (1, 7)).flatten(1)


def pattern_faces(
    people: dict[str, int] | None = None, images: int = IMAGES, noise: float = 0.25, seed: int = 0
) -> FaceTable:
    """A table in which every person is a coarse colour pattern, with noise that differs between images.

    Args:
        people: number of people by split.
    """
    people = people or {"train": 2, "attacker": 8, "search": 10, "sealed": 2}
    rng = np.random.default_rng(seed)
    rows = []
    for split, count in people.items():
        for person in range(count):
            pattern = rng.uniform(-0.6, 0.6, size=(3, 7, 7))
            for image in range(images):
                coarse = pattern + noise * rng.normal(size=pattern.shape)
                crop = np.kron(coarse, np.ones((16, 16))).clip(-1, 1)
                name = f"{split}{person:02d}/{image}"
                rows.append(
                    FaceRow(
                        image_id=name,
                        split=split,
                        source_path=name,
                        source_sha256=f"{len(rows):064x}",
                        detector="none",
                        identity=f"{split}{person:02d}",
                        crop=np.round((crop + 1) * 127.5).astype(np.uint8),
                        landmarks5=np.zeros((5, 2), np.float32),
                        landmarks68=np.zeros((68, 2), np.float32),
                    )
                )
    return FaceTable.from_rows(rows, CropContract("none", "0" * 64, {}, "none", "0" * 64))


class ColourRecognizer(PatternRecognizer):
    """A pattern recognizer with weights to train: it mixes the colours first, and leaves them as they are at first."""

    def __init__(self, name: str = "colour", cells: int = 7) -> None:
        super().__init__(name, cells)
        self.mix = nn.Parameter(torch.eye(3), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(torch.einsum("oc,bchw->bohw", self.mix, images))


def image_setting(
    anonymize: Callable[[FaceBatch], Tensor],
    recognizer: nn.Module,
    faces: FaceTable | None = None,
    **changes: Any,
) -> AttackSetting:
    """People as coarse colour patterns, with images and the net that embeds them.

    Args:
        anonymize: maps faces to float (B, 3, 112, 112) in [-1, 1].
        faces: table with the splits `search` (targets) and `attacker` (owned).
        changes: further fields of the setting.
    """
    faces = faces or pattern_faces({"attacker": 8, "search": 10})
    sets = []
    for split in ("search", "attacker"):
        part = faces.split(split)
        clear, anonymized = part.crops[:], render(anonymize, part, 16, "cpu")
        embeddings = (net_outputs(recognizer, images, 16, "cpu") for images in (clear, anonymized))
        sets.append(AttackSet(part.identity_indices, part.source_indices, *embeddings, clear, anonymized))
    return AttackSetting(*sets, **{"seed": 0, "recognizer": recognizer, **changes})
