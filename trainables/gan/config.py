"""Settings of a GAN anonymizer."""

import math
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from trainables.conditioning import build_conditioning
from trainables.gan.codes import IdentityCode
from trainables.gan.objective import Adversarial, ExpressionLoss
from veil.config import Settings
from veil.errors import ConfigError


class Weights(Settings):
    """λ of each term of the generator's loss; 0 leaves a term out, at no cost."""

    adv: float = Field(1.0, ge=0, allow_inf_nan=False, description="look real")
    rec: float = Field(10.0, ge=0, allow_inf_nan=False, description="keep the structure (low-pass reconstruction)")
    id: float = Field(1.0, ge=0, allow_inf_nan=False, description="lose the identity in the proxies' eyes")
    expr: float = Field(1.0, ge=0, allow_inf_nan=False, description="keep the expression in the teacher's eyes")
    diversity: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="two random codes give two people in the proxies' eyes"
    )
    target: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="resemble the person of a target code in the proxies' eyes"
    )
    perceptual: float = Field(0.0, ge=0, allow_inf_nan=False, description="keep the structure (low-pass LPIPS)")


class LossConditional(Settings):
    """Ranges (low, high) within which one training draws λ for each image, log-uniformly."""

    id: tuple[float, float] = (0.1, 10.0)
    expr: tuple[float, float] = (0.1, 10.0)
    rec: tuple[float, float] = (3.0, 60.0)

    @field_validator("id", "expr", "rec")
    @classmethod
    def _is_range(cls, ends: tuple[float, float]) -> tuple[float, float]:
        low, high = ends
        if not 0 < low < high < math.inf:
            raise ValueError(f"[{low:g}, {high:g}] is no range; expected [low, high] with 0 < low < high")
        return ends


class GanConfig(Settings):
    """Settings of one GAN anonymizer; lengths count images, so that batch size and workers leave them alone."""

    conditioning: str = Field("landmarks", description='registered conditioning, or several joined by "+"')
    paint_over: bool = Field(
        True, description="start from the average face that the conditioning paints, where it paints one"
    )
    identity_code: IdentityCode = Field(
        "none",
        description="what tells the generator whom to show: nothing, random numbers, or a person of the train part",
    )
    code_size: int = Field(16, ge=1, description="numbers of a random code")
    code_at_use: Literal["image", "fixed"] = Field(
        "image", description="code of an image, so that two pictures of a person do not link, or one code for everybody"
    )
    weights: Weights = Weights()
    loss_conditional: LossConditional | None = Field(
        None, description="one training for all λ in these ranges, shared by the trials that `weights` tells apart"
    )
    proxy_transforms: bool = Field(True, description="show the proxies random views instead of the image itself")
    transform_strength: float = Field(1.0, gt=0, le=2, description="of the proxies' random views")
    teacher_transform_strength: float = Field(
        0.0, ge=0, le=2, description="of the random views that the teacher gets; 0 shows it the image itself"
    )
    id_margin: float = Field(0.0, ge=-1, le=1, description="cosine below which an image counts as another person")
    expression_loss: ExpressionLoss = Field("kl", description="compare the teacher's posteriors, its features, or both")
    expr_temperature: float = Field(2.0, gt=0, description="of the teacher's posteriors in the loss")
    adversarial: Adversarial = "nonsaturating"
    rec_size: int = Field(56, ge=1, le=112, description="cells per side at which structure is compared")
    rec_region: Literal["image", "context"] = Field(
        "image", description="where structure is compared: everywhere, or around the face alone"
    )
    images: int = Field(1400, ge=1, description="images seen in training, after the warm start")
    warm_start_images: int = Field(
        3000, ge=0, description="images seen in the shared pre-training; 0 starts from noise"
    )
    training_seed: int = Field(0, ge=0, description="added to the trial's seed")
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

    @model_validator(mode="after")
    def _something_is_learned(self) -> Self:
        if not any(weight for _, weight in self.weights):
            raise ValueError("all weights are 0, so that nothing is learned; set at least one of weights above 0")
        return self

    @model_validator(mode="after")
    def _terms_have_their_codes(self) -> Self:
        for term, code in (("diversity", "random"), ("target", "target")):
            weight = getattr(self.weights, term)
            if weight > 0 and self.identity_code != code:
                raise ValueError(
                    f"weights.{term} is {weight:g}, which needs identity_code '{code}', found '{self.identity_code}'; "
                    f"set identity_code to '{code}' or weights.{term} to 0"
                )
        return self

    @model_validator(mode="after")
    def _faces_have_a_context(self) -> Self:
        if self.rec_region == "context" and "landmarks68" not in build_conditioning(self.conditioning).needs:
            raise ValueError(
                "rec_region 'context' needs landmarks to tell the face from it, and conditioning "
                f"{self.conditioning!r} takes faces without; add 'masked' to it or set rec_region to 'image'"
            )
        return self

    @model_validator(mode="after")
    def _weights_lie_in_their_ranges(self) -> Self:
        if self.loss_conditional is not None:
            for term, (low, high) in self.loss_conditional:
                weight = getattr(self.weights, term)
                if not low <= weight <= high:
                    raise ValueError(
                        f"weights.{term} is {weight:g}, outside the range [{low:g}, {high:g}] that "
                        f"loss_conditional.{term} trains; widen the range or move the weight"
                    )
        return self
