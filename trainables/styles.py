"""Published anonymizers as configurations of ours: what their generator sees, and what it is punished for.

They are no reimplementations. All share our U-Net, PatchGAN, R1 penalty, warm start, averaged generator, crops of
112 × 112 pixels, faces and length of training, so that a study compares ideas at equal means. What the original models
make of a study's images becomes trials through the trainable `published`.
"""

from typing import Literal

from pydantic import Field

from trainables.gan.codes import IdentityCode
from trainables.gan.config import GanConfig, Weights
from trainables.gan.objective import Adversarial
from trainables.gan_anonymizer import GanAnonymizer
from veil.registry import trainables

Region = Literal["image", "context"]


class StyleWeights(Weights):
    """λ of a method that neither pushes the identity away nor holds the expression."""

    id: float = Field(0.0, ge=0, le=0, description="the published method has no such term")
    expr: float = Field(0.0, ge=0, le=0, description="the published method has no such term")


class DeepPrivacyConfig(GanConfig):
    """Settings of `DeepPrivacyStyle`: those of ours with other defaults."""

    conditioning: str = "masked+keypoints"
    identity_code: IdentityCode = "random"
    weights: StyleWeights = StyleWeights()
    rec_region: Region = "context"
    rec_size: int = Field(112, ge=1, le=112)


@trainables.register("deepprivacy_style")
class DeepPrivacyStyle(GanAnonymizer):
    """A new face in the old context, from a few keypoints.

    As in the original: the face is hidden and its context shown, sparse keypoints give the pose, a random latent code
    makes the face, and inside the face nothing but the discriminator judges: no term ties it to the original.

    Otherwise than there: the face's outline is hidden, not its bounding box; corners of the mouth take the place of
    ears and shoulders, which lie outside aligned crops; a nonsaturating loss with R1 stands for WGAN-GP and progressive
    growing; the faces of the study stand for the 1.47 million of FDF. The original has no
    reconstruction loss, for it pastes the generated face into the untouched image. Here the generator paints the
    context too, so L1 asks for it pixel by pixel, around the face alone. The warm start does the same.

    Source: Hukkelås, Mester & Lindseth, DeepPrivacy: A Generative Adversarial Network for Face Anonymization, ISVC
    2019.
    """

    family = "DeepPrivacy-style"
    Config = DeepPrivacyConfig

    def label(self, config: GanConfig) -> str:
        """For example "DeepPrivacy-style λ_rec=10"."""
        return f"{self.family} λ_rec={config.weights.rec:.3g}"


class CiaganWeights(StyleWeights):
    """λ with identity guidance."""

    target: float = Field(1.0, ge=0, allow_inf_nan=False, description="resemble the person whose code was drawn")


class CiaganConfig(GanConfig):
    """Settings of `CiaganStyle`: those of ours with other defaults."""

    conditioning: str = "masked+landmarks"
    identity_code: IdentityCode = "target"
    weights: CiaganWeights = CiaganWeights()
    adversarial: Adversarial = "lsgan"
    rec_region: Region = "context"
    rec_size: int = Field(112, ge=1, le=112)


@trainables.register("ciagan_style")
class CiaganStyle(GanAnonymizer):
    """Another person's face in the old context, following the drawn landmarks.

    As in the original: the face is hidden and its context shown, landmarks are drawn as lines, a one-hot code says
    which person of the training set the face shall resemble, identity guidance rewards that, and the adversarial loss
    is that of LSGAN. Nothing ties the inside of the face to the original.

    Otherwise than there: all 68 landmarks are drawn, where the original leaves out eyes and brows; frozen proxies seen
    through random views guide, where the original trains a Siamese net along; the code enters by FiLM, not by
    transposed convolutions; a few people stand for the 1,200 of CelebA. The original has no reconstruction loss, for it
    pastes the generated face into the untouched image; as in `DeepPrivacyStyle`, L1 asks for the context here.

    Source: Maximov, Elezi & Leal-Taixé, CIAGAN: Conditional Identity Anonymization Generative Adversarial Networks,
    CVPR 2020.
    """

    family = "CIAGAN-style"
    Config = CiaganConfig

    def label(self, config: GanConfig) -> str:
        """For example "CIAGAN-style λ_target=1 λ_rec=10"."""
        return f"{self.family} λ_target={config.weights.target:.3g} λ_rec={config.weights.rec:.3g}"


class GanonymizationWeights(StyleWeights):
    """λ of pix2pix."""

    rec: float = Field(100.0, ge=0, allow_inf_nan=False, description="keep the structure (L1)")


class GanonymizationConfig(GanConfig):
    """Settings of `GanonymizationStyle`: those of ours with other defaults."""

    conditioning: str = "landmarks"
    weights: GanonymizationWeights = GanonymizationWeights()
    adversarial: Adversarial = "lsgan"
    rec_size: int = Field(112, ge=1, le=112)


@trainables.register("ganonymization_style")
class GanonymizationStyle(GanAnonymizer):
    """A face painted from landmarks alone.

    As in the original: the generator sees landmarks and nothing else, and pix2pix trains it: LSGAN, and L1 to the
    original, pixel by pixel, with λ = 100. There is no other term, and no latent code.

    Otherwise than there: lines through 68 landmarks stand for the dots of a mesh of 478; crops of 112 pixels with their
    background stand for 512 pixels with the background removed; few faces stand for CelebA; the warm start has λ = 10.

    Source: Hellmann, Mertes, Benouis, Hustinx, Hsieh, Conati, Krawitz & André, GANonymization: A GAN-based Face
    Anonymization Framework for Preserving Emotional Expressions, ACM TOMM 2024.
    """

    family = "GANonymization-style"
    Config = GanonymizationConfig

    def label(self, config: GanConfig) -> str:
        """For example "GANonymization-style λ_rec=100"."""
        return f"{self.family} λ_rec={config.weights.rec:.3g}"
