"""Fine-tuning of a recognizer, whole, so that it reads anonymized faces as it reads clear ones.

Shapes: N images of the training set, B images of a batch, D embedding size, C people.
"""

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.attackers.heads import cosines, with_margin
from veil.errors import ConfigError, DivergedError
from veil.faces.table import images_to_tensor
from veil.protocol.pairs import SMALLEST_NORM
from veil.runtime import Runtime, save_weights

PROTOTYPE_RATE = 100
"""Prototypes start at random, and learn this many times faster than the weights of the recognizer."""

_ORDER_STREAM = 0
_VIEW_STREAM = 1


@dataclass(frozen=True, eq=False)
class LabelledFaces:
    """Faces to learn from, as plain arrays that travel to workers.

    Attributes:
        images: uint8 (N, 3, 112, 112), anonymized or clear.
        targets: float32 (N, D), unit vectors: what the frozen recognizer says of the clear image, centred.
        labels: int64 (N,), person in 0..C-1.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class FineTuningPlan:
    """Trainings that differ in their seeds alone.

    Attributes:
        images: length of each training, in images seen; rounded up to whole batches.
        batch_size: of the global batch, all workers together.
        learning_rate: Adam's for the recognizer; rises over the first tenth, then falls along a cosine to 0.
        identity_weight: weight of the softmax over people beside the alignment.
        scale: inverse temperature of that softmax.
        margin: its additive angular margin in radians.
        max_shift: largest shift of a training image in pixels; images are also mirrored at random.
        seeds: of prototypes, order and views of the images, one a training.
    """

    images: int
    batch_size: int
    learning_rate: float
    identity_weight: float
    scale: float
    margin: float
    max_shift: int
    seeds: tuple[int, ...]


class TunedRecognizer(nn.Module):
    """A copy of a recognizer to be trained, and a prototype of each person of the training set.

    Args:
        recognizer: copied; must have weights.
        centre: float (D,), mean embedding of clear faces. Directions are taken from there: what all faces share says
            nothing of who they are, and would hide from the loss what does.
        people: C.
        seed: of the prototypes.
    """

    centre: Tensor

    def __init__(self, recognizer: nn.Module, centre: Tensor, people: int, seed: int) -> None:
        super().__init__()
        # Normalisation layers stay as they are in evaluation: few images of one kind would spoil their statistics.
        self.net = copy.deepcopy(recognizer).eval().requires_grad_(True)
        self.register_buffer("centre", centre.clone())
        generator = torch.Generator().manual_seed(seed)
        self.prototypes = nn.Parameter(torch.randn(people, len(centre), generator=generator) * len(centre) ** -0.5)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, 112, 112) in [-1, 1] to centred unit embeddings (B, D)."""
        return F.normalize(self.net(images) - self.centre, dim=1, eps=SMALLEST_NORM)


def fine_tune(
    runtime: Runtime,
    plan: FineTuningPlan,
    recognizer: nn.Module,
    centre: NDArray[np.float32],
    faces: LabelledFaces,
    folder: Path,
) -> None:
    """Train one copy of the recognizer for each seed and save it in `folder` (see `weights_path`).

    The loss is 1 - cosine between the embedding of a training image and its target, the frozen embedding of the clear
    image. It needs no labels, and so teaches something that holds for people who were never seen. Beside it stands an
    additive-angular-margin softmax over the people (ArcFace: Deng et al., 2019), with prototypes that the targets
    themselves share: images of one person come together, whatever else they show.

    Gradients are averaged by hand rather than by DistributedDataParallel, which refuses recognizers with weights that
    no output depends on.

    Args:
        runtime: where this worker runs.
        plan: what to do.
        recognizer: frozen net; it is copied.
        centre: float32 (D,), mean embedding of clear faces.
        faces: N images.
        folder: reached by all workers; the main one writes.

    Raises:
        ConfigError: the global batch does not divide among the workers.
        DivergedError: a loss is not finite.
    """
    if plan.batch_size % runtime.world_size:
        raise ConfigError(f"batch_size is {plan.batch_size}, expected a multiple of the {runtime.world_size} workers")
    for seed in plan.seeds:
        tuned = TunedRecognizer(recognizer, torch.from_numpy(centre), int(faces.labels.max()) + 1, seed)
        runtime.place(tuned)
        _train(runtime, plan, tuned, faces, seed)
        if runtime.is_main:
            save_weights(weights_path(folder, seed), tuned)
        runtime.barrier()


def weights_path(folder: Path, seed: int) -> Path:
    """Where `fine_tune` leaves the weights of a TunedRecognizer."""
    return folder / f"seed{seed}.safetensors"


def _train(runtime: Runtime, plan: FineTuningPlan, tuned: TunedRecognizer, faces: LabelledFaces, seed: int) -> None:
    weights = list(tuned.net.parameters())
    optimizer = torch.optim.Adam([{"params": weights}, {"params": [tuned.prototypes]}], lr=plan.learning_rate)
    share = plan.batch_size // runtime.world_size
    for seen in range(0, plan.images, plan.batch_size):
        rate = plan.learning_rate * _schedule(seen / plan.images, plan.batch_size / plan.images)
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = rate, PROTOTYPE_RATE * rate
        views = draw_views(seed, seen + runtime.rank * share, share, len(faces.labels), plan.max_shift)
        images = runtime.images(_seen_through(images_to_tensor(faces.images[views.rows]), views))
        targets = torch.from_numpy(faces.targets[views.rows]).to(images.device)
        labels = torch.from_numpy(faces.labels[views.rows]).to(images.device)
        with runtime.autocast():
            embeddings = tuned(images)
        loss = _loss(embeddings.float(), targets, labels, tuned.prototypes, plan)
        mean = runtime.mean({"loss": loss})["loss"]
        if not math.isfinite(mean):
            raise DivergedError(f"the loss of fine-tuning is {mean} after {seen} images; lower learning_rate")
        parameters = [*weights, tuned.prototypes]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        runtime.mean_(gradients)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()


def _loss(embeddings: Tensor, targets: Tensor, labels: Tensor, prototypes: Tensor, plan: FineTuningPlan) -> Tensor:
    alignment = 1 - (embeddings * targets).sum(dim=1).mean()
    both, owners = torch.cat([embeddings, targets]), torch.cat([labels, labels])
    logits = plan.scale * with_margin(cosines(both, prototypes), owners, plan.margin)
    return alignment + plan.identity_weight * F.cross_entropy(logits, owners)


def _schedule(progress: float, step: float) -> float:
    """Share of the learning rate: a tenth of the training to warm Adam up, and a cosine."""
    return min(1.0, 10 * (progress + step)) * 0.5 * (1 + math.cos(math.pi * progress))


class Views(NamedTuple):
    """What chance decides about B training images.

    Attributes:
        rows: int64 (B,), which.
        mirrored: bool (B,).
        shifts: int64 (B, 2), rows and columns to leave out at the top left of the padded image.
        padding: pixels added on each side, in which shifts take place.
    """

    rows: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    shifts: NDArray[np.int64]
    padding: int


def draw_views(seed: int, first: int, count: int, images: int, max_shift: int) -> Views:
    """Draw the training images with the numbers `first` to `first + count - 1`.

    Image i is a pure function of (seed, i), whatever the batch size and the number of workers.
    """
    numbers = range(first, first + count)
    orders = {
        epoch: np.random.default_rng([seed, _ORDER_STREAM, epoch]).permutation(images)
        for epoch in range(numbers[0] // images, numbers[-1] // images + 1)
    }
    generators = [np.random.default_rng([seed, _VIEW_STREAM, number]) for number in numbers]
    return Views(
        rows=np.array([orders[number // images][number % images] for number in numbers]),
        mirrored=np.array([generator.random() < 0.5 for generator in generators]),
        shifts=np.stack([generator.integers(0, 2 * max_shift + 1, 2) for generator in generators]),
        padding=max_shift,
    )


def _seen_through(images: Tensor, views: Views) -> Tensor:
    mirrored = torch.from_numpy(views.mirrored).view(-1, 1, 1, 1)
    images = torch.where(mirrored, images.flip(3), images)
    height, width = images.shape[2:]
    padded = F.pad(images, [views.padding] * 4, mode="replicate")
    return torch.stack(
        [
            image[:, top : top + height, left : left + width]
            for image, (top, left) in zip(padded, views.shifts.tolist(), strict=True)
        ]
    )
