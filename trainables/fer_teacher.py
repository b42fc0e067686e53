"""Training of the expression teacher: FER-2013's labels, or FER+'s votes, and a calibrated temperature.

Shapes: N images of a part, B images of a batch, K = 7 expressions.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from scipy.special import softmax
from torch import nn
from torch.nn import functional as F

from trainables.fer.faces import LabelledFaces, read_parts
from trainables.fer.measuring import Mirrored, fit_temperature, measure, predict
from trainables.fer.views import draw_views, seen_through, to_grey
from veil.atomic import replace_when_complete
from veil.config import Settings, flatten
from veil.datasets.dataset import Dataset
from veil.errors import ConfigError, DivergedError
from veil.expression.fer_resnet import CARD_FILE, WEIGHTS_FILE, ExpressionResNet
from veil.interfaces import EXPRESSIONS
from veil.metrics.expression import accuracy
from veil.registry import trainings
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

_CLIPPED_NORM = 2.0
_LOSS_EVERY_IMAGES = 2_560
_AVERAGE = "average.safetensors"
_PLAN = "training.json"


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


@trainings.register("fer_teacher")
class FerTeacher:
    """Trains Veil's own expression net on a dataset with published parts: FER-2013 or FER+."""

    Config: ClassVar[type[Settings]] = TeacherConfig

    def __call__(
        self, config: TeacherConfig, dataset: Dataset, launcher: Launcher, folder: Path, provenance: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Train and leave weights and card in a folder; see `veil.interfaces.Training`."""
        return train_teacher(config, read_parts(dataset, config.labels), launcher, folder, provenance)


def train_teacher(
    config: TeacherConfig,
    parts: Mapping[str, LabelledFaces],
    launcher: Launcher,
    folder: Path,
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """Train, calibrate on the validation part, measure on the test part, and leave weights and card in a folder.

    Args:
        config: what to do.
        parts: from `read_parts`.
        launcher: runs the training on one or several workers.
        folder: reached by all workers; a training that was stopped in it goes on.
        provenance: what the card shall say of the data and of how the training was started.

    Returns:
        The card.

    Raises:
        ConfigError: the global batch does not divide among the workers, or the folder holds another training.
        DivergedError: the loss is not finite.
    """
    if config.batch_size % launcher.workers:
        raise ConfigError(f"batch_size is {config.batch_size}, expected a multiple of the {launcher.workers} workers")
    _claim(folder, {"settings": config.model_dump(mode="json"), "sha256": _hashes(parts)})
    launcher(partial(train, config=config, faces=parts["train"], validation=parts["search"], folder=folder))
    net = ExpressionResNet().standardise()
    load_weights(folder / _AVERAGE, net)
    # What is measured is what is shipped: plain convolutions, rounded to half precision.
    save_weights(folder / WEIGHTS_FILE, net.fold().half())
    net.float().eval()
    temperature = fit_temperature(predict(net, parts["search"].images), parts["search"].targets)
    unseen = parts["sealed"].unseen_in(parts["train"], parts["search"])
    card = {
        "net": "fer_resnet",
        "classes": list(EXPRESSIONS),
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "weights_sha256": hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest(),
        "temperature": temperature,
        "settings": config.model_dump(mode="json"),
        **provenance,
        "images": {part: len(faces) for part, faces in parts.items()},
        "sha256": _hashes(parts),
        "validation": measure(net, parts["search"], temperature),
        "test": measure(net, parts["sealed"], temperature),
        "test_unseen_images": len(unseen),
        "test_unseen": measure(net, unseen, temperature),
        "test_with_mirrored": measure(Mirrored(net), parts["sealed"], temperature),
    }
    _write_json(folder / CARD_FILE, card)
    remove_checkpoints(folder)
    return card


def _hashes(parts: Mapping[str, LabelledFaces]) -> dict[str, str]:
    return {part: faces.sha256 for part, faces in parts.items()}


def _claim(folder: Path, plan: dict[str, Any]) -> None:
    """Write down what is trained in a folder, or check that it is the same."""
    path = folder / _PLAN
    if not path.exists():
        return _write_json(path, plan)
    there, now = flatten(json.loads(path.read_text(encoding="utf-8"))), flatten(plan)
    changed = [f"{key}: {there.get(key)} there, {now[key]} now" for key in now if there.get(key) != now[key]]
    if changed:
        raise ConfigError(f"{folder} holds another training ({'; '.join(changed)}); choose another --out")


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with replace_when_complete(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def train(
    runtime: Runtime, config: TeacherConfig, faces: LabelledFaces, validation: LabelledFaces, folder: Path
) -> None:
    """Train to the end, or until asked to stop; resume from the newest checkpoint in `folder`, if any.

    The net has no normalisation layers, so that workers need not agree on statistics: two workers with half the batch
    each do what one does with the whole.

    Raises:
        DivergedError: the loss is not finite.
    """
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
        validates = _passes(before, images_seen, config.report_every_images) or images_seen >= config.images
        if validates or _passes(before, images_seen, _LOSS_EVERY_IMAGES):
            metrics = {"loss/expression": float(np.mean(losses))}
            losses.clear()
            if validates:
                metrics["validation/accuracy"] = accuracy(
                    softmax(predict(average.net, validation.images), axis=1), validation.labels
                )
            runtime.log(metrics, images_seen)
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
