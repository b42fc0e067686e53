"""Training of the expression teacher: FER-2013's labels, or FER+'s votes, and a calibrated temperature.

Shapes: N images of a part, B images of a batch, K = 7 expressions.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import confusion_matrix
from torch import Tensor, nn
from torch.nn import functional as F

from veil.atomic import replace_when_complete
from veil.config import Settings
from veil.datasets.dataset import Dataset
from veil.errors import ConfigError, DataError, DivergedError
from veil.expression.fer_resnet import CARD_FILE, INPUT_SIZE, WEIGHTS_FILE, ExpressionResNet
from veil.interfaces import EXPRESSIONS
from veil.metrics.expression import accuracy, expected_calibration_error, macro_f1
from veil.runtime import (
    ExponentialMovingAverage,
    Launcher,
    Runtime,
    latest_checkpoint,
    load_checkpoint,
    load_weights,
    remove_checkpoints,
    save_checkpoint,
    save_weights,
)

PARTS = ("train", "search", "sealed")
"""The published training, validation and test parts, by the names that splits have."""

_ORDER_STREAM, _VIEW_STREAM = 0, 1
_DRAWS = 11
_EVALUATION_BATCH = 256
_CLIPPED_NORM = 2.0
_AVERAGE = "average.safetensors"
_TEMPERATURES = (0.05, 20.0)


class TeacherConfig(Settings):
    """Settings of one training; lengths count images, so that batch size and workers leave them alone."""

    labels: Literal["hard", "votes"] = Field("hard", description="one label an image, or the annotators' votes")
    images: int = Field(1_300_000, ge=1, description="images seen in training")
    batch_size: int = Field(128, ge=1, description="of the global batch, all workers together")
    learning_rate: float = Field(2e-3, gt=0, description="AdamW's; rises over the first 5 %, falls along a cosine")
    weight_decay: float = Field(0.05, ge=0, description="AdamW's, of the weights of convolutions and the head")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of each label given to all expressions alike")
    augmentation: float = Field(1.0, ge=0, le=2, description="strength of random poses, light and erased squares")
    ema_half_life_images: float = Field(20_000, ge=0, description="of the averaged net, which is the one kept")
    report_every_images: int = Field(57_418, ge=1, description="between reports, which validate")
    checkpoint_every_images: int = Field(57_418, ge=1)
    seed: int = 0


@dataclass(frozen=True, eq=False)
class LabelledFaces:
    """Faces of one part, as plain arrays that travel to workers.

    Attributes:
        images: uint8 (N, 48, 48), grey.
        targets: float32 (N, 7), probabilities of the expressions.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 (N,), the likeliest expression."""
        return self.targets.argmax(axis=1).astype(np.int64)


def read_parts(dataset: Dataset, labels: Literal["hard", "votes"]) -> dict[str, LabelledFaces]:
    """Read the three parts of an expression dataset into memory.

    Raises:
        DataError: a part is empty, or an image has no label of the kind asked for or cannot be decoded.
    """
    images: dict[str, list[NDArray[np.uint8]]] = {part: [] for part in PARTS}
    targets: dict[str, list[NDArray[np.float32]]] = {part: [] for part in PARTS}
    for image in dataset.images:
        if image.split not in images:
            raise DataError(f"{image.path} belongs to no published part, expected a dataset such as fer2013 or ferplus")
        pixels = cv2.imdecode(np.frombuffer(image.read(), np.uint8), cv2.IMREAD_GRAYSCALE)
        if pixels is None:
            raise DataError(f"{image.path} cannot be read as an image; take it out of the dataset")
        if pixels.shape != (INPUT_SIZE, INPUT_SIZE):
            pixels = cv2.resize(pixels, (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_AREA)
        images[image.split].append(pixels)
        targets[image.split].append(_target(image.path, image.expression, image.label_distribution, labels))
    empty = [part for part in PARTS if not images[part]]
    if empty:
        raise DataError(f"{dataset.name} has no images in its parts {', '.join(empty)}; all of {PARTS} are needed")
    return {part: LabelledFaces(np.stack(images[part]), np.stack(targets[part])) for part in PARTS}


def _target(
    path: str, expression: str | None, votes: tuple[float, ...] | None, labels: Literal["hard", "votes"]
) -> NDArray[np.float32]:
    if labels == "votes":
        if votes is None:
            raise DataError(f"{path} has no votes; set labels=hard, or take a dataset that has votes (ferplus)")
        return np.asarray(votes, np.float32)
    if expression is None:
        raise DataError(f"{path} has no label; take a dataset of labelled expressions (fer2013, ferplus)")
    return np.eye(len(EXPRESSIONS), dtype=np.float32)[EXPRESSIONS.index(expression)]


class Views(NamedTuple):
    """What chance decides about B training images.

    Attributes:
        rows: int64 (B,), which.
        draws: float32 (B, 11), uniform in [-1, 1).
    """

    rows: NDArray[np.int64]
    draws: NDArray[np.float32]


def draw_views(seed: int, first: int, count: int, images: int) -> Views:
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
        draws=np.stack([generator.random(_DRAWS, dtype=np.float32) for generator in generators]) * 2 - 1,
    )


def seen_through(grey: Tensor, draws: Tensor, strength: float) -> Tensor:
    """Random views of faces.

    Half are mirrored. At strength 1, faces turn by at most 15°, grow or shrink by at most 22 %, move by at most 7 % of
    the side, become lighter or darker, and half lose a square of at most a third of the side.

    Args:
        grey: float (B, 1, H, W) in [-1, 1].
        draws: float (B, 11), uniform in [-1, 1).
        strength: 0 mirrors only.

    Returns:
        Float (B, 1, H, W); light may leave [-1, 1] a little.
    """
    mirror = torch.where(draws[:, 0] < 0, -1.0, 1.0)
    angle, size = strength * math.radians(15) * draws[:, 1], torch.exp(strength * 0.2 * draws[:, 2])
    shift = strength * 0.14 * draws[:, 3:5]
    cosine, sine = size * torch.cos(angle), size * torch.sin(angle)
    maps = torch.stack([cosine * mirror, -sine, shift[:, 0], sine * mirror, cosine, shift[:, 1]], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(maps, list(grey.shape), align_corners=False)
    moved = F.grid_sample(grey, grid, padding_mode="border", align_corners=False)
    contrast = torch.exp(strength * 0.3 * draws[:, 5])[:, None, None, None]
    light = strength * 0.2 * draws[:, 6][:, None, None, None]
    return (moved * contrast + light).masked_fill(_squares(draws[:, 7:], grey.shape[-1], strength), 0.0)


def _squares(draws: Tensor, side: int, strength: float) -> Tensor:
    """Bool (B, 1, side, side): a square in half of the images."""
    pixels = torch.arange(side, dtype=draws.dtype, device=draws.device)
    halves = torch.where(draws[:, 0] < 0, 0.0, strength * side / 12 * (draws[:, 1] + 1))[:, None, None, None]
    middle_x, middle_y = ((draws[:, index] + 1) / 2 * side for index in (2, 3))
    near_x = (pixels[None, None, None, :] - middle_x[:, None, None, None]).abs() < halves
    near_y = (pixels[None, None, :, None] - middle_y[:, None, None, None]).abs() < halves
    return near_x & near_y


def to_grey(images: NDArray[np.uint8]) -> Tensor:
    """Convert uint8 (B, H, W) to float (B, 1, H, W) in [-1, 1]."""
    return torch.from_numpy(images.astype(np.float32)).div_(127.5).sub_(1.0)[:, None]


def train_teacher(
    config: TeacherConfig, parts: Mapping[str, LabelledFaces], launcher: Launcher, folder: Path, source: dict[str, Any]
) -> dict[str, Any]:
    """Train, calibrate on the validation part, measure on the test part, and leave weights and card in a folder.

    Args:
        config: what to do.
        parts: from `read_parts`.
        launcher: runs the training on one or several workers.
        folder: reached by all workers; a training that was stopped in it goes on.
        source: what the card shall say of the data and of how the training was started.

    Returns:
        The card.

    Raises:
        ConfigError: the global batch does not divide among the workers.
        DivergedError: the loss is not finite.
    """
    launcher(partial(train, config=config, faces=parts["train"], validation=parts["search"], folder=folder))
    net = ExpressionResNet().standardise()
    load_weights(folder / _AVERAGE, net)
    # What is measured is what is shipped: plain convolutions, rounded to half precision.
    save_weights(folder / WEIGHTS_FILE, net.fold().half())
    net.float().eval()
    temperature = fit_temperature(predict(net, parts["search"].images), parts["search"].targets)
    card = {
        "net": "fer_resnet",
        "classes": list(EXPRESSIONS),
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "temperature": temperature,
        "settings": config.model_dump(mode="json"),
        **source,
        "images": {part: len(faces) for part, faces in parts.items()},
        "validation": measure(net, parts["search"], temperature),
        "test": measure(net, parts["sealed"], temperature),
        "test_with_mirrored": measure(_Mirrored(net), parts["sealed"], temperature),
    }
    with replace_when_complete(folder / CARD_FILE) as temporary:
        temporary.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    remove_checkpoints(folder)
    return card


def train(
    runtime: Runtime, config: TeacherConfig, faces: LabelledFaces, validation: LabelledFaces, folder: Path
) -> None:
    """Train to the end, or until asked to stop; resume from the newest checkpoint in `folder`, if any.

    The net has no normalisation layers, so that workers need not agree on statistics: two workers with half the batch
    each do what one does with the whole.

    Raises:
        ConfigError: the global batch does not divide among the workers.
        DivergedError: the loss is not finite.
    """
    if config.batch_size % runtime.world_size:
        raise ConfigError(f"batch_size is {config.batch_size}, expected a multiple of the {runtime.world_size} workers")
    if (folder / _AVERAGE).exists():
        return
    net = _initial_net(config)
    runtime.place(net)
    average = ExponentialMovingAverage(net, config.ema_half_life_images)
    optimizer = _optimizer(net, config)
    saved, optimizers = {"net": net, "average": average.net}, {"net": optimizer}
    images_seen = 0
    if (checkpoint := latest_checkpoint(folder)) is not None:
        images_seen, _ = load_checkpoint(checkpoint, saved, optimizers)

    callable_net = runtime.wrap(net)
    share = config.batch_size // runtime.world_size
    losses: list[float] = []
    stopped = False
    while images_seen < config.images and not stopped:
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(images_seen / config.images)
        views = draw_views(config.seed, images_seen + runtime.rank * share, share, len(faces))
        draws = torch.from_numpy(views.draws)
        grey = runtime.images(seen_through(to_grey(faces.images[views.rows]), draws, config.augmentation))
        targets = torch.from_numpy(faces.targets[views.rows]).to(runtime.device)
        with runtime.autocast():
            logits = callable_net(grey)
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=config.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), _CLIPPED_NORM)
        optimizer.step()
        before, images_seen = images_seen, images_seen + config.batch_size
        average.update(net, config.batch_size)

        losses.append(runtime.mean({"loss": loss})["loss"])
        if not math.isfinite(losses[-1]):
            raise DivergedError(f"the loss is {losses[-1]} after {images_seen} images; lower learning_rate")
        if _passes(before, images_seen, config.report_every_images) or images_seen >= config.images:
            score = accuracy(softmax(predict(average.net, validation.images), axis=1), validation.labels)
            runtime.log({"loss/expression": float(np.mean(losses)), "validation/accuracy": score}, images_seen)
            losses.clear()
            stopped = runtime.agree_to_stop()
        if runtime.is_main and (_passes(before, images_seen, config.checkpoint_every_images) or stopped):
            save_checkpoint(folder, images_seen, saved, optimizers)

    if runtime.is_main and images_seen >= config.images:
        save_weights(folder / _AVERAGE, average.net)
    runtime.barrier()


def _initial_net(config: TeacherConfig) -> ExpressionResNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return ExpressionResNet().standardise()


def _optimizer(net: nn.Module, config: TeacherConfig) -> torch.optim.Optimizer:
    decayed, kept = [], []
    for parameter in net.parameters():
        # Biases and gains have a single number for each output.
        (decayed if parameter.ndim > 1 and parameter[0].numel() > 1 else kept).append(parameter)
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def _schedule(progress: float) -> float:
    """Share of the learning rate."""
    return min(1.0, 20 * progress + 0.01) * 0.5 * (1 + math.cos(math.pi * progress))


def _passes(before: int, after: int, every: int) -> bool:
    return before // every != after // every


class _Mirrored(nn.Module):
    """Mean of the logits of a face and of its mirror image."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, grey: Tensor) -> Tensor:
        return (self.net(grey) + self.net(grey.flip(-1))) / 2


@torch.no_grad()
def predict(net: Callable[[Tensor], Tensor] | nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits, float32 (N, 7), of grey faces, uint8 (N, 48, 48)."""
    device = next(net.parameters()).device if isinstance(net, nn.Module) else "cpu"
    batches = (images[start : start + _EVALUATION_BATCH] for start in range(0, len(images), _EVALUATION_BATCH))
    return np.concatenate([net(to_grey(batch).to(device)).float().cpu().numpy() for batch in batches])


def fit_temperature(logits: NDArray[np.floating], targets: NDArray[np.floating]) -> float:
    """Temperature that gives softmax(logits / temperature) the smallest cross-entropy to the targets.

    Source: C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017.

    Args:
        logits: (N, 7).
        targets: (N, 7), probabilities.
    """

    def cost(log_temperature: float) -> float:
        scaled = torch.from_numpy(np.asarray(logits, np.float64)) / math.exp(log_temperature)
        return float(F.cross_entropy(scaled, torch.from_numpy(np.asarray(targets, np.float64))))

    bounds = tuple(math.log(limit) for limit in _TEMPERATURES)
    return float(math.exp(minimize_scalar(cost, bounds=bounds, method="bounded").x))


def measure(net: nn.Module, faces: LabelledFaces, temperature: float) -> dict[str, Any]:
    """Accuracy, macro-F1, ECE before and after calibration, and the confusion matrix (rows: true expression)."""
    logits = predict(net, faces.images).astype(np.float64)
    raw, posteriors = softmax(logits, axis=1), softmax(logits / temperature, axis=1)
    labels = faces.labels
    return {
        "accuracy": round(accuracy(posteriors, labels), 4),
        "macro_f1": round(macro_f1(posteriors, labels), 4),
        "ece": round(expected_calibration_error(posteriors, labels), 4),
        "ece_uncalibrated": round(expected_calibration_error(raw, labels), 4),
        "confusion": confusion_matrix(labels, posteriors.argmax(axis=1), labels=range(len(EXPRESSIONS))).tolist(),
    }
