"""One training step: the discriminator's update, then the generator's."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from trainables.gan.data import Batch, noise_images
from trainables.gan.objective import (
    Adversarial,
    LossWeights,
    Parts,
    adversarial_loss,
    discriminator_loss,
    expression_loss,
    identity_loss,
    r1_penalty,
    reconstruction_loss,
)
from trainables.gan.patchgan import PatchGAN
from trainables.gan.references import References
from trainables.gan.unet import UNet
from trainables.gan.views import random_views
from veil.runtime import ExponentialMovingAverage, Runtime


@dataclass(frozen=True)
class StepSettings:
    """What a step does.

    Attributes:
        weights: of the generator's four terms.
        adversarial: kind of the adversarial loss.
        r1_gamma: weight of the R1 penalty.
        r1_every_steps: the penalty is computed every so many steps and weighted up accordingly (Karras 2020).
        rec_size: cells per side at which structure is compared.
        id_margin: cosine below which an image counts as another person.
        transform_strength: of the random views that the proxies get; 0 shows them the image itself.
        expr_temperature: of the teacher's posteriors.
    """

    weights: LossWeights = field(default_factory=LossWeights)
    adversarial: Adversarial = "nonsaturating"
    r1_gamma: float = 0.02
    r1_every_steps: int = 16
    rec_size: int = 56
    id_margin: float = 0.0
    transform_strength: float = 1.0
    expr_temperature: float = 2.0


@dataclass(frozen=True)
class NetSettings:
    """Architecture and optimisation of both nets.

    Attributes:
        channels: of the condition.
        generator_width, discriminator_width: channels of the first level.
        generator_rate, discriminator_rate: Adam's learning rates.
        ema_half_life_images: of the averaged generator.
        seed: of the initial weights.
    """

    channels: int
    generator_width: int
    discriminator_width: int
    generator_rate: float
    discriminator_rate: float
    ema_half_life_images: float
    seed: int


@dataclass
class Nets:
    """Raw nets, how they are called, and their optimizers.

    Attributes:
        generator, discriminator: raw; saved, averaged, differentiated twice.
        ema: average of the generator.
        train_generator, train_discriminator: called where their own weights are trained (DDP, compiled).
        judge: called where the generator is trained through the discriminator (compiled, never DDP).
    """

    generator: UNet
    discriminator: PatchGAN
    ema: ExponentialMovingAverage
    optimizer_g: Optimizer
    optimizer_d: Optimizer
    train_generator: Callable[[Tensor], Tensor]
    train_discriminator: Callable[[Tensor, Tensor], Tensor]
    judge: Callable[[Tensor, Tensor], Tensor]

    @classmethod
    def build(cls, settings: NetSettings, runtime: Runtime) -> Self:
        """Build nets with seeded initial weights, equal on all workers, on the worker's device."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            generator = UNet(settings.channels, settings.generator_width)
            discriminator = PatchGAN(settings.channels, settings.discriminator_width)
        runtime.place(generator)
        runtime.place(discriminator)
        return cls(
            generator,
            discriminator,
            ExponentialMovingAverage(generator, settings.ema_half_life_images),
            # No first-moment memory of gradients that the opponent has outdated.
            Adam(generator.parameters(), settings.generator_rate, betas=(0.5, 0.99)),
            Adam(discriminator.parameters(), settings.discriminator_rate, betas=(0.5, 0.99)),
            runtime.wrap(generator),
            runtime.wrap(discriminator),
            runtime.compiled(discriminator),
        )

    def saved(self) -> dict[str, nn.Module]:
        """Raw nets by name, for checkpoints."""
        return {"generator": self.generator, "discriminator": self.discriminator, "ema": self.ema.net}

    def optimizers(self) -> dict[str, Optimizer]:
        """Optimizers by name, for checkpoints."""
        return {"generator": self.optimizer_g, "discriminator": self.optimizer_d}


@dataclass(frozen=True)
class Judges:
    """Frozen nets of the loss, and what they say of the originals."""

    proxies: tuple[nn.Module, ...]
    teacher: nn.Module
    references: References


def train_step(
    nets: Nets, judges: Judges | None, batch: Batch, settings: StepSettings, runtime: Runtime, step: int
) -> Parts:
    """Update both nets once.

    Args:
        nets: updated in place; the EMA is left to the caller, who knows the global batch.
        judges: None if the weights of id and expr are 0.
        batch: this worker's part of the global batch, on its device.
        settings: what to do.
        runtime: where.
        step: number of the step, counted over the whole training.

    Returns:
        This worker's losses, unweighted, by metric key.
    """
    with runtime.autocast():
        images = nets.train_generator(batch.condition)
    parts = _discriminator_step(nets, images.detach(), batch, settings, runtime, step)
    return parts | _generator_step(nets, images, judges, batch, settings, runtime)


def _discriminator_step(
    nets: Nets, images: Tensor, batch: Batch, settings: StepSettings, runtime: Runtime, step: int
) -> Parts:
    if settings.weights.adv == 0:
        return {}
    nets.discriminator.requires_grad_(True)
    nets.optimizer_d.zero_grad(set_to_none=True)
    with runtime.autocast():
        # One pass for both halves: cheaper, and DDP counts one forward for one backward.
        logits = nets.train_discriminator(
            torch.cat([batch.condition, batch.condition]), torch.cat([batch.originals, images.to(batch.originals)])
        )
    real, fake = logits.float().chunk(2)
    loss, parts = discriminator_loss(real, fake, settings.adversarial)
    loss.backward()
    if settings.r1_gamma > 0 and step % settings.r1_every_steps == 0:
        parts |= _add_r1_gradients(nets.discriminator, batch, settings, runtime)
    nets.optimizer_d.step()
    return parts


def _add_r1_gradients(discriminator: PatchGAN, batch: Batch, settings: StepSettings, runtime: Runtime) -> Parts:
    penalty, parts = r1_penalty(discriminator, batch.condition, batch.originals)
    weights = list(discriminator.parameters())
    # The raw net bypasses DDP, so its gradients are taken and averaged here.
    gradients: list[Any] = list(
        torch.autograd.grad(
            0.5 * settings.r1_gamma * settings.r1_every_steps * penalty,
            weights,
            allow_unused=True,
            materialize_grads=True,
        )
    )
    runtime.mean_(gradients)
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient if weight.grad is None else weight.grad + gradient
    return parts


def _generator_step(
    nets: Nets, images: Tensor, judges: Judges | None, batch: Batch, settings: StepSettings, runtime: Runtime
) -> Parts:
    weights, parts = settings.weights, {}
    loss = images.new_zeros((), dtype=torch.float32)
    if weights.adv > 0:
        nets.discriminator.requires_grad_(False)
        with runtime.autocast():
            logits = nets.judge(batch.condition, images)
        term, logged = adversarial_loss(logits.float(), settings.adversarial)
        loss, parts = loss + weights.adv * term, parts | logged
    images = images.float()
    if weights.rec > 0:
        term, logged = reconstruction_loss(images, batch.originals, settings.rec_size)
        loss, parts = loss + weights.rec * term, parts | logged
    if judges is not None:
        targets, target_logits = judges.references.of(batch.samples)
        if weights.id > 0:
            views = images
            if settings.transform_strength > 0:
                draws = torch.from_numpy(batch.samples.draws).to(images.device)
                noise = noise_images(batch.samples.noise_seeds, images.shape[-1], images.device)
                views = random_views(images, draws, noise, settings.transform_strength)
            with runtime.autocast():
                term, logged = identity_loss(views, targets, judges.proxies, settings.id_margin)
            loss, parts = loss + weights.id * term, parts | logged
        if weights.expr > 0:
            with runtime.autocast():
                logits = judges.teacher(images)
            term, logged = expression_loss(logits.float(), target_logits, settings.expr_temperature)
            loss, parts = loss + weights.expr * term, parts | logged
    nets.optimizer_g.zero_grad(set_to_none=True)
    loss.backward()
    nets.optimizer_g.step()
    return parts
