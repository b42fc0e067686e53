"""Training of an inverter, the net that leads an anonymized face back to the clear one.

Shapes: N images of the training set, B images of a batch, D embedding size.
"""

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.gan.unet import UNet
from veil.errors import ConfigError, DivergedError
from veil.faces.table import images_to_tensor
from veil.runtime import Runtime, save_weights

ORIENTATIONS = 8
_INPUTS = 3 * ORIENTATIONS + 3
_RIDGE = 1e-4


@dataclass(frozen=True, eq=False)
class FacePairs:
    """Faces that the attacker holds before and after anonymization, as plain arrays that travel to workers.

    Attributes:
        anonymized: uint8 (N, 3, 112, 112).
        clear: uint8 (N, 3, 112, 112).
        embeddings: float32 (N, D), unit vectors of the clear images.
    """

    anonymized: NDArray[np.uint8]
    clear: NDArray[np.uint8]
    embeddings: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.clear)


@dataclass(frozen=True)
class InversionPlan:
    """One training.

    Attributes:
        images: length of the training, in images seen; rounded up to whole batches.
        batch_size: of the global batch, all workers together.
        width: channels of the first level of the U-Net.
        learning_rate: Adam's, constant in the first half of the training, then linearly to 0.
        identity_weight: weight of the identity term beside the L1 term.
        identity_share: last part of the training in which the identity term counts, in [0, 1].
        seed: of the initial weights and the order of the images.
    """

    images: int
    batch_size: int
    width: int
    learning_rate: float
    identity_weight: float
    identity_share: float
    seed: int


class Inverter(nn.Module):
    """A U-Net that sees the anonymized image in all eight orientations, and the mean clear face.

    A convolution changes values where they are; it cannot carry a pixel to the other end of the image. With every
    rotation and reflection of the square (the dihedral group) laid side by side, a distortion that turns or mirrors the
    face is as easy to undo as one that changes its values. The mean face spares the net from drawing what all faces
    share, and is the answer where an image tells nothing.

    Args:
        mean_face: float (3, 112, 112) in [-1, 1].
        width: channels of the first level.
    """

    mean_face: Tensor

    def __init__(self, mean_face: Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer("mean_face", mean_face)
        self.unet = UNet(_INPUTS, width)

    @classmethod
    def build(cls, clear: NDArray[np.uint8], width: int, seed: int) -> Self:
        """Build with seeded initial weights, leaving the process's own random numbers alone."""
        mean_face = images_to_tensor(clear.mean(axis=0, keepdims=True))[0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(mean_face, width)

    def inputs(self, images: Tensor) -> Tensor:
        """Map (B, 3, 112, 112) to what the U-Net sees, (B, 27, 112, 112) in [-1, 1]."""
        turned = [images.rot90(quarters, (2, 3)) for quarters in range(4)]
        seen = [*turned, *(image.flip(3) for image in turned), self.mean_face.expand_as(images)]
        return torch.cat(seen, dim=1).contiguous(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Map anonymized images (B, 3, 112, 112) to reconstructions of the same shape in [-1, 1]."""
        return self.unet(self.inputs(images))


def train_inverter(
    runtime: Runtime, plan: InversionPlan, pairs: FacePairs, recognizer: nn.Module, weights: Path
) -> None:
    """Train an inverter on pairs of faces and save it.

    The loss is the L1 distance to the clear image; towards the end of the training the identity term joins it, 1 minus
    the cosine between the embeddings of the reconstruction and of the clear image, which asks for what the recognizer
    sees rather than for what most pixels show. It costs several times as much as the U-Net, and means little before a
    reconstruction looks like a face.

    The pairs are not augmented. A flip or a shift of both images of a pair is a true pair only if the anonymizer
    commutes with it, which a quarter turn, a grid of blocks or a generator does not; of one image only, it is wrong for
    every anonymizer.

    Args:
        runtime: where this worker runs.
        plan: what to do.
        pairs: N pairs.
        recognizer: frozen net of the identity term.
        weights: file that the main worker writes.

    Raises:
        ConfigError: the global batch does not divide among the workers.
        DivergedError: a loss is not finite.
    """
    if plan.batch_size % runtime.world_size:
        raise ConfigError(f"batch_size is {plan.batch_size}, expected a multiple of the {runtime.world_size} workers")
    inverter = Inverter.build(pairs.clear, plan.width, plan.seed)
    runtime.place(inverter)
    call = runtime.wrap(inverter)
    judge = copy.deepcopy(recognizer).to(runtime.device) if plan.identity_weight > 0 else None
    optimizer = torch.optim.Adam(inverter.parameters(), plan.learning_rate)
    order = _order(len(pairs), plan)
    for seen in range(0, plan.images, plan.batch_size):
        rows = order[seen : seen + plan.batch_size][runtime.rank :: runtime.world_size]
        clear = runtime.images(images_to_tensor(pairs.clear[rows]))
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * min(1.0, 2 * (1 - seen / plan.images))
        with runtime.autocast():
            output = call(runtime.images(images_to_tensor(pairs.anonymized[rows])))
        output = output.float()
        loss = (output - clear).abs().mean()
        if judge is not None and seen >= (1 - plan.identity_share) * plan.images:
            embeddings = torch.from_numpy(pairs.embeddings[rows]).to(output.device)
            loss = loss + plan.identity_weight * (1 - (judge(output) * embeddings).sum(dim=1)).mean()
        value = runtime.mean({"loss": loss})["loss"]
        if not math.isfinite(value):
            raise DivergedError(f"the loss of the inverter is {value} after {seen} images; lower `learning_rate`")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    if runtime.is_main:
        save_weights(weights, inverter)
    runtime.barrier()


def _order(count: int, plan: InversionPlan) -> NDArray[np.int64]:
    """Every image once in each epoch, in an order of its own; long enough for whole batches."""
    rng = np.random.default_rng(plan.seed)
    epochs = math.ceil((plan.images + plan.batch_size) / count)
    return np.concatenate([rng.permutation(count) for _ in range(epochs)])


class Fit(NamedTuple):
    """Mean absolute error on the training pairs, images in [-1, 1].

    Attributes:
        inverter: of the trained net.
        linear: of the best linear map of what the net sees at one pixel, the same map at all pixels.
        constant: of the best constant image.
    """

    inverter: float
    linear: float
    constant: float

    @property
    def worst_allowed(self) -> float:
        """Error above which the net counts as untrained.

        Half of what a linear map gains over a constant image, with a tolerance of 10 %. Where an anonymized image tells
        nothing, the linear map gains nothing, and the net needs only reach the constant image.
        """
        return 1.1 * (self.linear + self.constant) / 2


@torch.no_grad()
def measure_fit(inverter: Inverter, pairs: FacePairs, batch_size: int, device: torch.device | str) -> Fit:
    """Compare the trained inverter with two closed forms that read the same inputs."""
    batches = [slice(start, start + batch_size) for start in range(0, len(pairs), batch_size)]
    gram = torch.zeros(_INPUTS + 1, _INPUTS + 1, dtype=torch.float64, device=device)
    moments = torch.zeros(_INPUTS + 1, 3, dtype=torch.float64, device=device)
    for rows in batches:
        seen, clear = _pixels(inverter, pairs, rows, device)
        gram += seen.T @ seen
        moments += seen.T @ clear
    # Orientations of a symmetric image are equal, so the normal equations need the ridge.
    ridge = _RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype, device=device)
    linear_map = torch.linalg.solve(gram + ridge, moments)

    # The median minimises the mean absolute error.
    constant = np.abs(pairs.clear - np.median(pairs.clear, axis=0)).mean() / 127.5
    errors = np.zeros(2)
    for rows in batches:
        seen, clear = _pixels(inverter, pairs, rows, device)
        images = images_to_tensor(pairs.anonymized[rows]).to(device)
        output = inverter(images).permute(0, 2, 3, 1).reshape(-1, 3)
        errors += [float((output - clear).abs().sum()), float((seen @ linear_map - clear).abs().sum())]
    inverter_error, linear = errors / pairs.clear.size
    return Fit(inverter=float(inverter_error), linear=float(linear), constant=float(constant))


def _pixels(inverter: Inverter, pairs: FacePairs, rows: slice, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """What the net sees at every pixel and a 1, (B x 112 x 112, 28), and the clear pixels, (B x 112 x 112, 3)."""
    seen = inverter.inputs(images_to_tensor(pairs.anonymized[rows]).to(device))
    clear = images_to_tensor(pairs.clear[rows]).to(device)
    flat = [images.permute(0, 2, 3, 1).reshape(-1, images.shape[1]).double() for images in (seen, clear)]
    return torch.cat([flat[0], flat[0].new_ones(len(flat[0]), 1)], dim=1), flat[1]
