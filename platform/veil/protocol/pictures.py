"""What a person looks at beside the numbers: original, condition and anonymized faces, and the attackers' ROC."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from veil.faces.table import FaceTable
from veil.interfaces import CROP_SIZE, Conditioning
from veil.protocol.score import PersonScore

GRID_FACES = 8
GRID_PADDING = 4
THUMBNAIL_FACES = 3
THUMBNAIL_SHRINKAGE = 1.5
FAILURE_FACES = 4


def face_grid(
    faces: FaceTable, anonymized: Tensor, conditioning: Conditioning | None, reconstructions: Tensor | None = None
) -> Image.Image:
    """One column a person: the original, what the generator saw (if it did not see the pixels), the result.

    Args:
        faces: N faces.
        anonymized: float (N, 3, 112, 112) in [-1, 1], in the same order.
        conditioning: the signal of the anonymizer.
        reconstructions: float (N, 3, 112, 112) in [-1, 1], what an attacker made of the result, as a last row.
    """
    _, first = np.unique(faces.identity_indices, return_index=True)
    chosen = torch.as_tensor(np.sort(first)[:GRID_FACES])
    batch = faces.batch(chosen)
    rows = [batch.images]
    if conditioning is not None:
        with torch.no_grad():
            rows.append(_as_rgb(conditioning(batch)))
    rows.append(anonymized[chosen])
    if reconstructions is not None:
        rows.append(reconstructions[chosen])
    grid = make_grid(torch.cat(rows), nrow=len(chosen), padding=GRID_PADDING, pad_value=1.0)
    return _as_image(grid)


def failure_grid(faces: FaceTable, anonymized: Tensor, people: Sequence[PersonScore]) -> Image.Image:
    """Originals above what became of them, of the person most recognized and of the one whose expression suffers most.

    Args:
        faces: N faces.
        anonymized: float (N, 3, 112, 112) in [-1, 1], in the same order.
        people: scores of the n people, in the order of their numbers.
    """
    recognized = max(range(len(people)), key=lambda index: people[index].tar or 0.0)
    damaged = min(range(len(people)), key=lambda index: people[index].utility)
    owners = np.unique(faces.identity_indices, return_inverse=True)[1]
    chosen = torch.as_tensor(
        np.concatenate([np.flatnonzero(owners == person)[:FAILURE_FACES] for person in (recognized, damaged)])
    )
    rows = torch.cat([faces.batch(chosen).images, anonymized[chosen]])
    return _as_image(make_grid(rows, nrow=len(chosen), padding=GRID_PADDING, pad_value=1.0))


def write_thumbnail(path: Path, grid: Image.Image) -> None:
    """Write the first people of a `face_grid` as WebP, small enough (about 5 kB) to be embedded in a page."""
    cell = CROP_SIZE + GRID_PADDING
    width = min(grid.width, THUMBNAIL_FACES * cell + GRID_PADDING)
    size = round(width / THUMBNAIL_SHRINKAGE), round(grid.height / THUMBNAIL_SHRINKAGE)
    grid.resize(size, Image.Resampling.LANCZOS, box=(0, 0, width, grid.height)).save(path, quality=80)


def _as_image(pixels: Tensor) -> Image.Image:
    """Pixels (3, H, W) in [-1, 1] as an image."""
    levels = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).numpy())


def _as_rgb(signal: Tensor) -> Tensor:
    """Show C channels as colour: 1 as grey, 3 as they are, otherwise the first three plus the maximum of the rest."""
    channels = signal.shape[1]
    if channels == 1:
        return signal.expand(-1, 3, -1, -1)
    if channels == 3:
        return signal
    if channels > 3:
        return torch.maximum(signal[:, :3], signal[:, 3:].amax(dim=1, keepdim=True))
    return torch.cat([signal, signal[:, :1]], dim=1)


def roc_figure(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], far: float) -> Figure:
    """ROC of every attacker on a logarithmic FAR axis, with the FAR at which TAR is read.

    Args:
        curves: (FAR, TAR) by attacker, each float (P,) and never decreasing.
        far: the operating FAR.
    """
    figure = Figure(figsize=(7.0, 5.0), layout="constrained")
    axes = figure.subplots()
    for name, (false_accepts, true_accepts) in curves.items():
        axes.plot(np.maximum(false_accepts, 1e-4), true_accepts, label=name, linewidth=1.6)
    axes.axvline(far, color="0.5", linestyle="--", linewidth=1)
    chance = np.geomspace(1e-4, 1.0, 200)
    axes.plot(chance, chance, color="0.7", linestyle=":", label="chance")
    axes.set(xscale="log", xlim=(1e-3, 1.0), ylim=(0.0, 1.02), xlabel="false accept rate", ylabel="true accept rate")
    _finish(axes)
    return figure


def cmc_figure(curves: Mapping[str, np.ndarray]) -> Figure:
    """Cumulative match characteristic of every attacker.

    Args:
        curves: float (n,) share of probes whose person is among the k best, k = 1..n, by attacker.
    """
    figure = Figure(figsize=(7.0, 5.0), layout="constrained")
    axes = figure.subplots()
    for name, shares in curves.items():
        axes.plot(np.arange(1, len(shares) + 1), shares, label=name, linewidth=1.6, marker="o", markersize=3)
    people = max(len(shares) for shares in curves.values())
    ranks = np.arange(1, people + 1)
    axes.plot(ranks, ranks / people, color="0.7", linestyle=":", label="chance")
    axes.set(xlim=(1, max(people, 2)), ylim=(0.0, 1.02), xlabel="rank", ylabel="share of probes identified")
    _finish(axes)
    return figure


def _finish(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
