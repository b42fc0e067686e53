"""The training, in one straight line."""

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from trainables.gan.data import Batch, TrainingFaces, draw_samples, make_batch
from trainables.gan.references import FeaturesAndLogits, references
from trainables.gan.steps import Judges, Nets, NetSettings, StepSettings, train_step
from trainables.gan.unet import UNet
from veil.errors import ConfigError, DataError, DivergedError
from veil.features.loading import load_perceptual_distance
from veil.interfaces import Conditioning, Roles
from veil.runtime import (
    Runtime,
    latest_checkpoint,
    load_checkpoint,
    load_weights,
    remove_checkpoints,
    save_checkpoint,
    save_weights,
)

_WEIGHTS = "weights.safetensors"
_NET = "net.json"
_FINISHED = "finished"


@dataclass(frozen=True)
class TrainingPlan:
    """One training.

    Attributes:
        nets: architecture and optimisation.
        step: what each step does.
        images: length of the training, in images seen; rounded up to whole batches.
        batch_size: of the global batch, all workers together.
        report_every_images: between reports of mean losses.
        checkpoint_every_images: between checkpoints.
        seed: of the order of the faces, their flips, poses and views.
        augmentation: strength of the random poses of the training faces; 0 leaves them alone.
        extra_share: share of the batch drawn from extra faces, where there are any.
    """

    nets: NetSettings
    step: StepSettings
    images: int
    batch_size: int
    report_every_images: int
    checkpoint_every_images: int
    seed: int
    augmentation: float = 1.0
    extra_share: float = 0.0


def train(
    runtime: Runtime,
    plan: TrainingPlan,
    faces: TrainingFaces,
    conditioning: Conditioning,
    load_roles: Callable[[str], Roles],
    folder: Path,
    cache: Path,
    start: Path | None = None,
    pause_at: int | None = None,
) -> None:
    """Train to the end, to a pause, or until asked to stop; resume from the newest checkpoint in `folder`, if any.

    Args:
        runtime: where this worker runs.
        plan: what to do.
        faces: N faces of the train split, and extra ones.
        conditioning: what the generator may see of them.
        load_roles: loads proxies and teacher; called only if a loss needs them.
        folder: keeps checkpoints and, at the end, the three nets (`generator`, `ema`, `discriminator`).
        cache: folder shared by trials, for outputs on the originals.
        start: folder of a finished training without a code whose nets are the initial ones; None starts from seeded
            noise.
        pause_at: images after which to pause, rounded up to whole batches: with a checkpoint, and with the nets as they
            are then; None goes on to the end. A training that is continued is the same as one that never paused.

    Raises:
        ConfigError: the global batch does not divide among the workers.
        DivergedError: a loss is not finite.
    """
    if plan.batch_size % runtime.world_size:
        raise ConfigError(
            f"batch_size is {plan.batch_size}, expected a multiple of the {runtime.world_size} workers of a trial"
        )
    if is_finished(folder):
        return
    nets = Nets.build(plan.nets, runtime)
    judges = _load_judges(runtime, plan, faces, load_roles, cache)
    checkpoint = latest_checkpoint(folder)
    images_seen = 0
    if checkpoint is not None:
        images_seen, _ = load_checkpoint(checkpoint, nets.saved(), nets.optimizers())
    elif start is not None:
        _start_from(start, nets)

    share = plan.batch_size // runtime.world_size
    end = plan.images if pause_at is None else min(pause_at, plan.images)
    losses = _RunningMeans()
    stopped = False
    while images_seen < end and not stopped:
        first = images_seen + runtime.rank * share
        batch = _batch(runtime, plan, faces, conditioning, first, share)
        _set_learning_rates(nets, plan, images_seen)
        parts = train_step(nets, judges, batch, plan.step, runtime, step=images_seen // plan.batch_size)
        before, images_seen = images_seen, images_seen + plan.batch_size
        nets.ema.update(nets.generator, plan.batch_size)

        means = runtime.mean(parts)
        _check_finite(means, images_seen)
        losses.add(means)
        if _passes(before, images_seen, plan.report_every_images) or images_seen >= end:
            runtime.log(losses.take(plan.batch_size), images_seen)
            stopped = runtime.agree_to_stop()
        if _passes(before, images_seen, plan.checkpoint_every_images) or stopped or end <= images_seen < plan.images:
            _save(runtime, nets, folder, images_seen)

    if runtime.is_main:
        for name, net in nets.saved().items():
            save_weights(folder / f"{name}.safetensors", net)
        if images_seen >= plan.images:
            (folder / _FINISHED).touch()
            remove_checkpoints(folder)
    runtime.barrier()


def is_finished(folder: Path) -> bool:
    """Whether a training in `folder` ran to its end; one that was stopped has a checkpoint instead."""
    return (folder / _FINISHED).exists()


def _load_judges(
    runtime: Runtime, plan: TrainingPlan, faces: TrainingFaces, load_roles: Callable[[str], Roles], cache: Path
) -> Judges:
    weights, device = plan.step.weights, str(runtime.device)
    known = None
    if weights.ask_judges:
        roles = load_roles(device)
        by_features = weights.expr > 0 and "feature" in plan.step.expression_loss
        teacher = FeaturesAndLogits(roles.teacher) if by_features else roles.teacher
        known = references(faces, roles.proxies, teacher, runtime.device, cache)
    return Judges(known, load_perceptual_distance(device) if weights.perceptual > 0 else None)


def _start_from(folder: Path, nets: Nets) -> None:
    """Begin with the nets of a finished training; it had no code, so what reads one stays as it was built."""
    for name, net in nets.saved().items():
        load_weights(folder / f"{name}.safetensors", net, keep="film.")


def _batch(
    runtime: Runtime, plan: TrainingPlan, faces: TrainingFaces, conditioning: Conditioning, first: int, count: int
) -> Batch:
    samples = draw_samples(
        plan.seed,
        first,
        count,
        faces=len(faces) - faces.extra,
        augmentation=plan.augmentation,
        extra=faces.extra,
        extra_share=plan.extra_share,
        codes=plan.step.codes,
        people=faces.people,
    )
    batch = make_batch(faces, conditioning, samples, with_context=plan.step.rec_region == "context")
    return batch._replace(
        originals=runtime.images(batch.originals),
        condition=runtime.images(batch.condition),
        context=None if batch.context is None else runtime.images(batch.context),
    )


def _set_learning_rates(nets: Nets, plan: TrainingPlan, images_seen: int) -> None:
    """Constant in the first half of the training, then linearly to 0 (as in pix2pix)."""
    share = min(1.0, 2 * (1 - images_seen / plan.images))
    for optimizer, rate in (
        (nets.optimizer_g, plan.nets.generator_rate),
        (nets.optimizer_d, plan.nets.discriminator_rate),
    ):
        for group in optimizer.param_groups:
            group["lr"] = share * rate


def _passes(before: int, after: int, every: int) -> bool:
    return before // every != after // every


def _check_finite(losses: dict[str, float], images_seen: int) -> None:
    broken = [f"{name} = {value}" for name, value in losses.items() if not math.isfinite(value)]
    if broken:
        raise DivergedError(
            f"training diverged after {images_seen} images: {', '.join(broken)}; "
            "lower learning_rate or the weight of that term"
        )


def _save(runtime: Runtime, nets: Nets, folder: Path, images_seen: int) -> None:
    if runtime.is_main:
        save_checkpoint(folder, images_seen, nets.saved(), nets.optimizers())
    runtime.barrier()


class _RunningMeans:
    """Means of losses since the last report; a loss counts in the steps that computed it."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}
        self._since = time.perf_counter()

    def add(self, losses: dict[str, float]) -> None:
        for name, value in losses.items():
            self._sums.setdefault(name, []).append(value)

    def take(self, batch_size: int) -> dict[str, float]:
        steps = max((len(values) for values in self._sums.values()), default=0)
        means = {name: sum(values) / len(values) for name, values in self._sums.items()}
        now = time.perf_counter()
        means["train/images_per_second"] = steps * batch_size / (now - self._since)
        self._sums, self._since = {}, now
        return means


def save_generator(folder: Path, generator: nn.Module, description: dict[str, Any]) -> None:
    """Write a generator for use: weights and what is needed to rebuild it; complete or not at all.

    Args:
        folder: replaced if it exists.
        generator: raw or averaged net.
        description: plain values; `channels`, `width`, and `code_size` and `canvas` if it has them, rebuild the net.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_weights(partial / _WEIGHTS, generator)
    (partial / _NET).write_text(json.dumps(description, indent=2), encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(partial, folder)


def load_generator(folder: Path) -> tuple[UNet, dict[str, Any]]:
    """Rebuild a generator written by `save_generator`, on the CPU, in eval mode.

    Raises:
        DataError: the folder is missing or damaged.
    """
    try:
        description = json.loads((folder / _NET).read_text(encoding="utf-8"))
        generator = UNet(
            description["channels"], description["width"], description.get("code_size", 0), description.get("canvas")
        )
    except (OSError, json.JSONDecodeError, KeyError) as error:
        raise DataError(f"{folder} holds no generator: {error!r}") from None
    load_weights(folder / _WEIGHTS, generator)
    return generator.eval().requires_grad_(False), description
