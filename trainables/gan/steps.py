"""One training step: the discriminator's update, then the generator's."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from trainables.gan.codes import NO_CODE, CodeSettings
from trainables.gan.data import Batch, Samples, noise_images
from trainables.gan.objective import (
    Adversarial,
    ExpressionLoss,
    LossWeights,
    Parts,
    adversarial_loss,
    discriminator_loss,
    diversity_loss,
    expression_loss,
    identity_loss,
    perceptual_loss,
    r1_penalty,
    reconstruction_loss,
    target_loss,
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
        weights: of the generator's terms.
        adversarial: kind of the adversarial loss.
        r1_gamma: weight of the R1 penalty.
        r1_every_steps: the penalty is computed every so many steps and weighted up accordingly (Karras 2020).
        rec_size: cells per side at which structure is compared.
        rec_region: where it is compared: everywhere, or around the face alone.
        id_margin: cosine below which an image counts as another person.
        transform_strength: of the random views that the proxies get; 0 shows them the image itself.
        teacher_transform_strength: the same for the teacher.
        expr_temperature: of the teacher's posteriors.
        expression_loss: how the teacher's views are compared.
        codes: what the generator is told; a term that has a range in it takes λ from the sample instead of `weights`.
    """

    weights: LossWeights = field(default_factory=LossWeights)
    adversarial: Adversarial = "nonsaturating"
    r1_gamma: float = 0.02
    r1_every_steps: int = 16
    rec_size: int = 56
    rec_region: Literal["image", "context"] = "image"
    id_margin: float = 0.0
    transform_strength: float = 1.0
    teacher_transform_strength: float = 0.0
    expr_temperature: float = 2.0
    expression_loss: ExpressionLoss = "kl"
    codes: CodeSettings = NO_CODE


@dataclass(frozen=True)
class NetSettings:
    """Architecture and optimisation of both nets.

    Attributes:
        channels: of the condition.
        generator_width, discriminator_width: channels of the first level.
        generator_rate, discriminator_rate: Adam's learning rates.
        ema_half_life_images: of the averaged generator.
        seed: of the initial weights.
        code_size: numbers that the generator is told beside the condition.
        canvas: channel of the condition that the generator paints over; None if it starts from nothing.
    """

    channels: int
    generator_width: int
    discriminator_width: int
    generator_rate: float
    discriminator_rate: float
    ema_half_life_images: float
    seed: int
    code_size: int = 0
    canvas: int | None = None


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
    train_generator: Callable[[Tensor, Tensor | None], Tensor]
    train_discriminator: Callable[[Tensor, Tensor], Tensor]
    judge: Callable[[Tensor, Tensor], Tensor]

    @classmethod
    def build(cls, settings: NetSettings, runtime: Runtime) -> Self:
        """Build nets with seeded initial weights, equal on all workers, on the worker's device."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            generator = UNet(settings.channels, settings.generator_width, settings.code_size, settings.canvas)
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
    """Frozen nets of the loss, and what they say of the originals.

    Attributes:
        references: proxies and teacher; None if no weight asks for them.
        distance: perceptual distance of pairs of images; None if its weight is 0.
    """

    references: References | None = None
    distance: Callable[[Tensor, Tensor], Tensor] | None = None


def train_step(nets: Nets, judges: Judges, batch: Batch, settings: StepSettings, runtime: Runtime, step: int) -> Parts:
    """Update both nets once.

    Args:
        nets: updated in place; the EMA is left to the caller, who knows the global batch.
        judges: those that the weights ask for.
        batch: this worker's part of the global batch, on its device.
        settings: what to do.
        runtime: where.
        step: number of the step, counted over the whole training.

    Returns:
        This worker's losses, unweighted, by metric key.
    """
    condition, code = batch.condition, batch.samples.code(batch.condition.device)
    others = None
    with runtime.autocast():
        if settings.weights.diversity > 0:
            other_code = batch.samples.code(condition.device, other=True)
            # One pass for both codes: DDP counts one forward for one backward.
            both = nets.train_generator(torch.cat([condition, condition]), torch.cat([code, other_code]))
            images, others = both.chunk(2)
        else:
            images = nets.train_generator(condition, code)
    parts = _discriminator_step(nets, images.detach(), batch, settings, runtime, step)
    return parts | _generator_step(nets, images, others, judges, batch, settings, runtime)


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
    nets: Nets,
    images: Tensor,
    others: Tensor | None,
    judges: Judges,
    batch: Batch,
    settings: StepSettings,
    runtime: Runtime,
) -> Parts:
    weights = settings.weights
    loss, parts = images.new_zeros((), dtype=torch.float32), {}
    if weights.adv > 0:
        nets.discriminator.requires_grad_(False)
        with runtime.autocast():
            logits = nets.judge(batch.condition, images)
        term, parts = adversarial_loss(logits.float(), settings.adversarial)
        loss = loss + weights.adv * term
    sampled = settings.codes.weights(torch.from_numpy(batch.samples.preferences).to(images.device))
    for name, (terms, logged) in _terms(images.float(), others, judges, batch, settings, runtime).items():
        loss = loss + (sampled.get(name, getattr(weights, name)) * terms).mean()
        parts |= logged
    nets.optimizer_g.zero_grad(set_to_none=True)
    loss.backward()
    nets.optimizer_g.step()
    return parts


def _terms(
    images: Tensor,
    others: Tensor | None,
    judges: Judges,
    batch: Batch,
    settings: StepSettings,
    runtime: Runtime,
) -> dict[str, tuple[Tensor, Parts]]:
    """Every term whose weight is not 0 but the adversarial one, by the name of its weight."""
    weights, terms = settings.weights, {}
    if weights.rec > 0:
        terms["rec"] = reconstruction_loss(images, batch.originals, settings.rec_size, batch.context)
    if judges.distance is not None:
        with runtime.autocast():
            terms["perceptual"] = perceptual_loss(images, batch.originals, settings.rec_size, judges.distance)
    if judges.references is None:
        return terms
    seen = judges.references.of(batch.samples)
    if max(weights.id, weights.diversity, weights.target) > 0:
        faces = images if others is None else torch.cat([images, others.float()])
        views = _views(faces, batch.samples, settings.transform_strength)
        with runtime.autocast():
            outputs = [proxy(views).float() for proxy in judges.references.proxies]
        embeddings = [output[: len(images)] for output in outputs]
        if weights.id > 0:
            terms["id"] = identity_loss(embeddings, seen.embeddings, settings.id_margin)
        if weights.diversity > 0:
            other_embeddings = [output[len(images) :] for output in outputs]
            terms["diversity"] = diversity_loss(embeddings, other_embeddings, settings.id_margin)
        if weights.target > 0:
            chosen = torch.from_numpy(batch.samples.codes).to(images.device)
            terms["target"] = target_loss(embeddings, [chosen @ people for people in judges.references.people])
    if weights.expr > 0:
        views = _views(images, batch.samples, settings.teacher_transform_strength)
        with runtime.autocast():
            outputs_of_teacher = judges.references.teacher(views)
        terms["expr"] = expression_loss(
            outputs_of_teacher.float(), seen.teacher, settings.expression_loss, settings.expr_temperature
        )
    return terms


def _views(images: Tensor, samples: Samples, strength: float) -> Tensor:
    """What a frozen net gets to see; two images of one sample are seen alike."""
    if strength == 0:
        return images
    times = len(images) // len(samples.indices)
    draws = torch.from_numpy(samples.draws).to(images.device).repeat(times, 1)
    noise = noise_images(samples.noise_seeds, images.shape[-1], images.device).repeat(times, 1, 1, 1)
    return random_views(images, draws, noise, strength)
