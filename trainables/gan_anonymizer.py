"""The GAN anonymizer: what it sees, what it is punished for, and how long it trains."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from filelock import FileLock
from pydantic import Field, field_validator

from trainables.anonymizers.generative import GeneratorAnonymizer
from trainables.conditioning import build_conditioning
from trainables.gan.data import TrainingFaces, drop_incomplete
from trainables.gan.loop import TrainingPlan, is_finished, load_generator, save_generator, train
from trainables.gan.objective import LossWeights
from trainables.gan.rows import Rows
from trainables.gan.steps import NetSettings, StepSettings
from trainables.gan.unet import UNet
from veil.config import Settings, hash_values
from veil.errors import ConfigError, DataError
from veil.interfaces import Anonymizer, TrialContext, TrialOutcome
from veil.registry import trainables
from veil.runtime import Runtime, load_weights

if TYPE_CHECKING:
    from veil.faces.table import FaceTable

_GENERATOR = "generator"
_TRAINING = "training"

# Shared by all trials of a study, whatever λ they sample: without identity and expression terms.
_WARM_WEIGHTS = LossWeights(adv=1.0, rec=10.0, id=0.0, expr=0.0)


class Weights(Settings):
    """λ of the four terms; 0 leaves a term out, at no cost."""

    adv: float = Field(1.0, ge=0, allow_inf_nan=False, description="look real")
    rec: float = Field(10.0, ge=0, allow_inf_nan=False, description="keep the structure (low-pass reconstruction)")
    id: float = Field(1.0, ge=0, allow_inf_nan=False, description="lose the identity in the proxies' eyes")
    expr: float = Field(1.0, ge=0, allow_inf_nan=False, description="keep the expression in the teacher's eyes")


class GanConfig(Settings):
    """Settings of one GAN anonymizer; lengths count images, so that batch size and workers leave them alone."""

    conditioning: str = Field("landmarks", description='registered conditioning, or several joined by "+"')
    weights: Weights = Weights()
    proxy_transforms: bool = Field(True, description="show the proxies random views instead of the image itself")
    transform_strength: float = Field(1.0, gt=0, le=2, description="of the random views")
    id_margin: float = Field(0.0, ge=-1, le=1, description="cosine below which an image counts as another person")
    expr_temperature: float = Field(2.0, gt=0, description="of the teacher's posteriors in the loss")
    adversarial: Literal["hinge", "nonsaturating", "lsgan"] = "nonsaturating"
    rec_size: int = Field(56, ge=1, le=112, description="cells per side at which structure is compared")
    images: int = Field(1400, ge=1, description="images seen in training, after the warm start")
    warm_start_images: int = Field(
        3000, ge=0, description="images seen in the shared pre-training; 0 starts from noise"
    )
    batch_size: int = Field(4, ge=1, description="of the global batch, all workers together")
    augmentation: float = Field(0.0, ge=0, le=2, description="strength of the training faces' random poses")
    extra_share: float = Field(0.5, ge=0, le=1, description="of the images seen, from `data.extra`; 0 leaves it unused")
    max_source_scale: float | None = Field(
        None, gt=0, description="crop pixels per source pixel above which a face is too blurred to train on; None: none"
    )
    generator_width: int = Field(16, ge=8, description="channels of the generator's first level")
    discriminator_width: int = Field(24, ge=8, description="channels of the discriminator's first level")
    learning_rate: float = Field(5e-4, gt=0, description="Adam's, of both nets")
    warm_start_learning_rate: float = Field(1e-3, gt=0, description="Adam's, of both nets in the pre-training")
    r1_gamma: float = Field(0.05, ge=0, description="weight of the R1 penalty")
    r1_every_steps: int = Field(16, ge=1, description="the penalty is computed every so many steps")
    ema_half_life_images: float = Field(50.0, ge=0, description="of the averaged generator, which is the one kept")
    report_every_images: int = Field(200, ge=1)
    checkpoint_every_images: int = Field(1000, ge=1)

    @field_validator("conditioning")
    @classmethod
    def _conditioning_exists(cls, name: str) -> str:
        try:
            build_conditioning(name)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return name


@trainables.register("gan_anonymizer")
class GanAnonymizer:
    """Trains a conditional GAN from the study's warm start and returns its averaged generator."""

    family = "gan"
    needs_faces = True
    Config = GanConfig

    def run(self, config: GanConfig, context: TrialContext) -> TrialOutcome:
        """Warm start (or wait for the trial that makes it), train, keep the generator.

        Raises:
            ConfigError: the batch does not divide among the workers.
            DataError: there are no faces to train on, or none that has the signals that the conditioning needs.
            DivergedError: a loss was not finite.
        """
        if context.faces is None:
            raise DataError("the GAN anonymizer needs faces to train on; the study has prepared none")
        conditioning = build_conditioning(config.conditioning)
        extra = context.extra_faces if config.extra_share > 0 else ()
        faces, counts = training_faces(context.faces, extra, conditioning.needs, config.max_source_scale)
        seconds = {}
        began = time.perf_counter()
        start = None
        if config.warm_start_images > 0:
            start = _warm_start(config, context, faces)
            seconds["warm_start"] = time.perf_counter() - began
            began = time.perf_counter()
        context.launcher(
            partial(
                train,
                plan=_plan(config, conditioning.channels, context.seed),
                faces=faces,
                conditioning=conditioning,
                load_roles=context.load_roles,
                folder=context.folder / _TRAINING,
                cache=context.cache,
                start=start,
            )
        )
        generator = UNet(conditioning.channels, config.generator_width)
        load_weights(context.folder / _TRAINING / "ema.safetensors", generator)
        save_generator(
            context.folder / _GENERATOR,
            generator,
            {
                "conditioning": config.conditioning,
                "channels": conditioning.channels,
                "width": config.generator_width,
                "config": config.model_dump(mode="json"),
                "crop_contract": context.faces.contract_hash,
                "seed": context.seed,
            },
        )
        seconds["train"] = time.perf_counter() - began
        anonymizer = GeneratorAnonymizer(generator, conditioning)
        return TrialOutcome(anonymizer, conditioning, seconds=seconds, training_faces=counts)

    def load(self, config: GanConfig, folder: Path) -> Anonymizer:
        """Rebuild the anonymizer from the trial's folder.

        Raises:
            DataError: the folder holds no finished generator.
        """
        generator, description = load_generator(folder / _GENERATOR)
        return GeneratorAnonymizer(generator, build_conditioning(description["conditioning"]))

    def label(self, config: GanConfig) -> str:
        """For example "landmarks λ_id=1 λ_expr=2"; "plain" marks a loss without random views."""
        plain = "" if config.proxy_transforms or config.weights.id == 0 else " plain"
        return f"{config.conditioning} λ_id={config.weights.id:.3g} λ_expr={config.weights.expr:.3g}{plain}"


def training_faces(
    own: "FaceTable", extra: "Sequence[FaceTable]", needs: frozenset[str], max_source_scale: float | None = None
) -> tuple[TrainingFaces, dict[str, int]]:
    """Faces that can be trained on, the study's own first; pixels stay where they are until they are needed.

    Blurred faces from small sources teach a discriminator that faces are blurred: they are counted, and left out where
    the settings say so. A face that lacks a signal is left out and counted.

    Args:
        own: the study's train part.
        extra: more faces under the same crop contract.
        needs: signals that every face must have.
        max_source_scale: crop pixels per pixel of the source above which a face is left out; None leaves none out.

    Returns:
        The faces, and counts: of those kept "people", "extra" and, among both, "low_resolution"; of those left out
        "too_blurred" and "without_parsing_map" and the like.

    Raises:
        DataError: no face of a table is left.
    """
    counts = Counter({"people": 0, "extra": 0, "low_resolution": 0})
    tables = []
    for table in (own, *extra):
        sharp = _drop_blurred(table, max_source_scale)
        kept, dropped = drop_incomplete(sharp, needs)
        counts["people" if table is own else "extra"] += len(kept)
        counts["low_resolution"] += kept.low_resolution
        counts["too_blurred"] += len(table) - len(sharp)
        counts.update({f"without_{words.replace(' ', '_')}": count for words, count in dropped.items()})
        tables.append(kept)
    faces = TrainingFaces(
        images=Rows([table.crops for table in tables]),
        landmarks=np.concatenate([table.landmarks68 for table in tables]),
        key=hash_values([[table.data_hash, table.contract_hash, table.image_ids] for table in tables]),
        parsing=Rows([table.parsing for table in tables]) if "parsing" in needs else None,
        pose=np.concatenate([table.pose for table in tables]) if "pose" in needs else None,
        extra=counts["extra"],
    )
    return faces, dict(counts)


def _drop_blurred(table: "FaceTable", max_source_scale: float | None) -> "FaceTable":
    if max_source_scale is None:
        return table
    sharp = table.take(np.flatnonzero(~(table.source_scales > max_source_scale)))
    if len(table) and not len(sharp):
        raise DataError(
            f"all {len(table)} faces of a training set have more than {max_source_scale:g} crop pixels a source pixel; "
            "raise max_source_scale, or take the set out of `data.extra`"
        )
    return sharp


def _plan(config: GanConfig, channels: int, seed: int) -> TrainingPlan:
    return TrainingPlan(
        nets=NetSettings(
            channels=channels,
            generator_width=config.generator_width,
            discriminator_width=config.discriminator_width,
            generator_rate=config.learning_rate,
            discriminator_rate=config.learning_rate,
            ema_half_life_images=config.ema_half_life_images,
            seed=seed,
        ),
        step=StepSettings(
            weights=LossWeights(**config.weights.model_dump()),
            adversarial=config.adversarial,
            r1_gamma=config.r1_gamma,
            r1_every_steps=config.r1_every_steps,
            rec_size=config.rec_size,
            id_margin=config.id_margin,
            transform_strength=config.transform_strength if config.proxy_transforms else 0.0,
            expr_temperature=config.expr_temperature,
        ),
        images=config.images,
        batch_size=config.batch_size,
        report_every_images=config.report_every_images,
        checkpoint_every_images=config.checkpoint_every_images,
        seed=seed,
        augmentation=config.augmentation,
        extra_share=config.extra_share,
    )


def _warm_start(config: GanConfig, context: TrialContext, faces: TrainingFaces) -> Path:
    """Pre-train once per conditioning and architecture; a trial that needs one in the making waits for it.

    Returns:
        Folder of the three nets.
    """
    conditioning = build_conditioning(config.conditioning)
    # Seed 0: trials of any seed share it. Only what shapes the pre-training is in the key.
    plan = _plan(config, conditioning.channels, seed=0)
    rate = config.warm_start_learning_rate
    plan = replace(
        plan,
        images=config.warm_start_images,
        nets=replace(plan.nets, generator_rate=rate, discriminator_rate=rate),
        step=replace(plan.step, weights=_WARM_WEIGHTS),
    )
    relevant = {
        "conditioning": config.conditioning,
        "faces": faces.key,
        "extra_share": config.extra_share if faces.extra else 0.0,
        **config.model_dump(
            mode="json",
            include={
                "adversarial", "rec_size", "warm_start_images", "batch_size", "generator_width", "discriminator_width",
                "warm_start_learning_rate", "r1_gamma", "r1_every_steps", "augmentation", "ema_half_life_images",
            },
        ),
    }  # fmt: skip
    folder = context.cache / f"warm_start-{hash_values(relevant)}"
    context.cache.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not is_finished(folder):
            context.launcher(
                partial(
                    _quiet_train,
                    plan=plan,
                    faces=faces,
                    conditioning=conditioning,
                    load_roles=context.load_roles,
                    folder=folder,
                    cache=context.cache,
                )
            )
    return folder


def _quiet_train(runtime: Runtime, **arguments: object) -> None:
    """Train without reporting: the trial's progress starts after the warm start."""
    train(runtime.quiet(), **arguments)  # type: ignore[arg-type]
