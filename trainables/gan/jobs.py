"""The trainings of a trial: those that it shares with others, and its own."""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from trainables.anonymizers.generative import GeneratorAnonymizer
from trainables.gan.codes import CodeAtUse, CodeSettings
from trainables.gan.config import GanConfig
from trainables.gan.data import TrainingFaces
from trainables.gan.loop import TrainingPlan, is_finished, train
from trainables.gan.objective import LossWeights
from trainables.gan.steps import NetSettings, StepSettings
from trainables.gan.unet import UNet
from veil.config import hash_values
from veil.errors import DivergedError, StoppedEarlyError
from veil.interfaces import Conditioning, TrialContext, TrialOutcome
from veil.runtime import Runtime, load_weights, remove_checkpoints

# Shared by all trials of a study, whatever λ they sample: without identity and expression terms, in pix2pix's ratio.
_WARM_WEIGHTS = LossWeights(adv=0.3, rec=30.0, id=0.0, expr=0.0)


@dataclass(frozen=True)
class Job:
    """What a trial trains.

    Attributes:
        config: its settings.
        conditioning: what the generator may see.
        faces: to train on.
        context: of the trial.
    """

    config: GanConfig
    conditioning: Conditioning
    faces: TrainingFaces
    context: TrialContext

    @property
    def seed(self) -> int:
        """Seed of the trial's training."""
        return self.context.seed + self.config.training_seed

    @cached_property
    def codes(self) -> CodeSettings:
        """What the generator is told."""
        sizes = {"none": 0, "random": self.config.code_size}
        if self.faces.people is not None:
            sizes["target"] = int(self.faces.people.max()) + 1
        ranges = {} if self.config.loss_conditional is None else dict(self.config.loss_conditional)
        return CodeSettings(self.config.identity_code, sizes[self.config.identity_code], ranges)

    @property
    def canvas(self) -> int | None:
        """Channel of the condition that the generator paints over; None if it starts from nothing."""
        return getattr(self.conditioning, "canvas", None) if self.config.paint_over else None

    def code_at_use(self) -> CodeAtUse | None:
        """Codes of the images that the finished generator is shown; None if it takes none."""
        if self.codes.total == 0:
            return None
        preferences = self.codes.preferences(self.config.weights.model_dump())
        return CodeAtUse(
            self.config.identity_code, self.codes.size, self.config.code_at_use, self.seed, tuple(preferences)
        )

    def anonymizer(self, folder: Path) -> GeneratorAnonymizer:
        """The averaged generator of a training of this trial, in use.

        Args:
            folder: of the nets.
        """
        generator = UNet(self.conditioning.channels, self.config.generator_width, self.codes.total, self.canvas)
        load_weights(folder / "ema.safetensors", generator)
        return GeneratorAnonymizer(generator, self.conditioning, self.code_at_use())

    def own_training(self, start: Path | None) -> Path:
        """Train for this trial alone, from rung to rung.

        Args:
            start: folder of the warm start; None starts from noise.

        Returns:
            Folder of the nets.

        Raises:
            StoppedEarlyError: the trial is not promising at a rung; the nets stay, the checkpoint goes.
        """
        folder = self.context.folder / "training"
        job = partial(train, plan=self._plan(self.seed), folder=folder, start=start, **self._shared)
        for rung in self.context.rungs:
            self.context.launcher(partial(job, pause_at=rung))
            try:
                self.context.at_rung(TrialOutcome(self.anonymizer(folder), self.conditioning), rung)
            except StoppedEarlyError:
                remove_checkpoints(folder)
                raise
        self.context.launcher(job)
        return folder

    def warm_start(self) -> Path:
        """Pre-train once per conditioning and architecture; a trial that needs one in the making waits for it.

        Returns:
            Folder of the nets.
        """
        # Seed 0: trials of any seed share it, and of any code, because what reads a code changes nothing at first.
        plan = self._plan(seed=0)
        rate = self.config.warm_start_learning_rate
        plan = replace(
            plan,
            images=self.config.warm_start_images,
            nets=replace(plan.nets, generator_rate=rate, discriminator_rate=rate, code_size=0),
            step=replace(plan.step, weights=_WARM_WEIGHTS, codes=CodeSettings()),
        )
        # Only what shapes the pre-training is in the key.
        relevant = {
            "conditioning": self.config.conditioning,
            "faces": self.faces.key,
            "extra_share": self.config.extra_share if self.faces.extra else 0.0,
            "canvas": self.canvas,
            **self.config.model_dump(
                mode="json",
                include={
                    "adversarial", "rec_size", "warm_start_images", "batch_size", "generator_width",
                    "discriminator_width", "warm_start_learning_rate", "r1_gamma", "r1_every_steps", "augmentation",
                    "ema_half_life_images",
                },
            ),
        }  # fmt: skip
        if self.config.rec_region != "image":
            relevant["rec_region"] = self.config.rec_region
        return self._once("warm_start", relevant, partial(_quiet_train, plan=plan))

    def shared_training(self, start: Path | None) -> Path:
        """Train once for all λ (Dosovitskiy & Djolonga 2020); a trial that needs one in the making waits for it.

        Args:
            start: folder of the warm start; None starts from noise.

        Returns:
            Folder of the nets.
        """
        roles = self.context.load_roles("cpu")
        relevant = {
            "faces": self.faces.key,
            "seed": self.seed,
            "judges": [net.asset_sha256 for net in (*roles.proxies, roles.teacher)],
            **self.config.model_dump(
                mode="json",
                exclude={
                    "weights": {"id", "expr", "rec"}, "code_at_use": True, "training_seed": True,
                    "report_every_images": True, "checkpoint_every_images": True,
                },
            ),
        }  # fmt: skip
        return self._once("loss_conditional", relevant, partial(train, plan=self._plan(self.seed), start=start))

    @property
    def _shared(self) -> dict[str, Any]:
        """What all trainings of the trial are given alike."""
        return {
            "faces": self.faces,
            "conditioning": self.conditioning,
            "load_roles": self.context.load_roles,
            "cache": self.context.cache,
        }

    def _once(self, name: str, relevant: dict[str, Any], job: "partial[None]") -> Path:
        """Run a training unless a trial has; one that has diverged would do so again.

        Args:
            name: of the kind of training.
            relevant: everything that shapes it.
            job: the training, but for its folder and what is shared.

        Raises:
            DivergedError: it diverges, or did so for another trial.
        """
        folder = self.context.cache / f"{name}-{hash_values(relevant)}"
        diverged = folder.with_suffix(".diverged")
        self.context.cache.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if diverged.exists():
                raise DivergedError(diverged.read_text(encoding="utf-8"))
            if not is_finished(folder):
                try:
                    self.context.launcher(partial(job, folder=folder, **self._shared))
                except DivergedError as error:
                    diverged.write_text(f"the shared {folder.name}: {error}", encoding="utf-8")
                    raise
        return folder

    def _plan(self, seed: int) -> TrainingPlan:
        config, codes = self.config, self.codes
        return TrainingPlan(
            nets=NetSettings(
                channels=self.conditioning.channels,
                generator_width=config.generator_width,
                discriminator_width=config.discriminator_width,
                generator_rate=config.learning_rate,
                discriminator_rate=config.learning_rate,
                ema_half_life_images=config.ema_half_life_images,
                seed=seed,
                code_size=codes.total,
                canvas=self.canvas,
            ),
            step=StepSettings(
                weights=LossWeights(**config.weights.model_dump()),
                adversarial=config.adversarial,
                r1_gamma=config.r1_gamma,
                r1_every_steps=config.r1_every_steps,
                rec_size=config.rec_size,
                rec_region=config.rec_region,
                id_margin=config.id_margin,
                transform_strength=config.transform_strength if config.proxy_transforms else 0.0,
                teacher_transform_strength=config.teacher_transform_strength,
                expr_temperature=config.expr_temperature,
                expression_loss=config.expression_loss,
                codes=codes,
            ),
            images=config.images,
            batch_size=config.batch_size,
            report_every_images=config.report_every_images,
            checkpoint_every_images=config.checkpoint_every_images,
            seed=seed,
            augmentation=config.augmentation,
            extra_share=config.extra_share,
        )


def _quiet_train(runtime: Runtime, **arguments: Any) -> None:
    """Train without reporting: the trial's progress starts after the warm start."""
    train(runtime.quiet(), **arguments)
