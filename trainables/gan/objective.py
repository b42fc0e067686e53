"""The terms: look real, keep the structure, lose the identity, keep the expression.

Shapes: B images, C channels of the condition, D embedding size, K = 7 expression classes, F features.
Adversarial losses return a scalar, what else the generator minimises one value for each image, so that each image can
have λ of its own; all return parts to log beside.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil.interfaces import EXPRESSIONS

Adversarial = Literal["hinge", "nonsaturating", "lsgan"]
ExpressionLoss = Literal["kl", "feature", "kl+feature"]
Parts = dict[str, Tensor]


@dataclass(frozen=True)
class LossWeights:
    """λ of each term of the generator's loss; 0 leaves a term out, at no cost.

    Attributes:
        adv: adversarial.
        rec: low-pass reconstruction.
        id: similarity to the original in the proxies' eyes.
        expr: divergence from the original in the teacher's eyes.
        diversity: similarity of two images of one face with two codes, in the proxies' eyes.
        target: dissimilarity to the person whose code was drawn, in the proxies' eyes.
        perceptual: low-pass perceptual distance.
    """

    adv: float = 1.0
    rec: float = 10.0
    id: float = 1.0
    expr: float = 1.0
    diversity: float = 0.0
    target: float = 0.0
    perceptual: float = 0.0

    @property
    def ask_judges(self) -> bool:
        """Whether a term looks through the proxies or the teacher."""
        return max(self.id, self.expr, self.diversity, self.target) > 0

    def __post_init__(self) -> None:
        for name, weight in asdict(self).items():
            if not weight >= 0:
                raise ValueError(f"weight of {name} is {weight}, expected 0 or more")


def discriminator_loss(logits_real: Tensor, logits_fake: Tensor, kind: Adversarial) -> tuple[Tensor, Parts]:
    """What the discriminator minimises.

    Args:
        logits_real: of any shape, for originals.
        logits_fake: of the same shape, for generated images.
        kind: "hinge" (Lim & Ye 2017), "nonsaturating" (Goodfellow 2014) or "lsgan" (Mao 2017).
    """
    if kind == "hinge":
        loss = F.relu(1 - logits_real).mean() + F.relu(1 + logits_fake).mean()
    elif kind == "nonsaturating":
        loss = F.softplus(-logits_real).mean() + F.softplus(logits_fake).mean()
    else:
        loss = 0.5 * ((logits_real - 1) ** 2).mean() + 0.5 * (logits_fake**2).mean()
    return loss, {"loss/d_adv": loss}


def adversarial_loss(logits_fake: Tensor, kind: Adversarial) -> tuple[Tensor, Parts]:
    """What the generator minimises against the discriminator."""
    if kind == "hinge":
        loss = -logits_fake.mean()
    elif kind == "nonsaturating":
        loss = F.softplus(-logits_fake).mean()
    else:
        loss = 0.5 * ((logits_fake - 1) ** 2).mean()
    return loss, {"loss/g_adv": loss}


def r1_penalty(discriminator: nn.Module, condition: Tensor, images: Tensor) -> tuple[Tensor, Parts]:
    """Mean squared gradient norm of the discriminator at the originals (Mescheder 2018).

    Needs a double backward, hence the raw net: a compiled one raises.
    """
    images = images.detach().requires_grad_(True)
    logits = discriminator(condition, images)
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    # Each patch is a judgement of its own: the penalty is the mean over patches, as if they did not overlap.
    penalty = gradient.square().sum(dim=(1, 2, 3)).mean() / logits[0].numel()
    return penalty, {"loss/r1": penalty}


def reconstruction_loss(
    images: Tensor, originals: Tensor, size: int, where: Tensor | None = None
) -> tuple[Tensor, Parts]:
    """Mean absolute difference (B,) of both images averaged to `size` × `size` cells: structure, not texture.

    Args:
        images: (B, 3, H, W).
        originals: (B, 3, H, W).
        size: cells per side.
        where: (B, 1, H, W), 1 where they are compared and 0 elsewhere; None compares them everywhere.
    """
    if where is not None:
        # A mean over what is compared: the larger share of the image that it is, the less each pixel counts.
        where = where / where.mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-3)
        images, originals = images * where, originals * where
    difference = F.adaptive_avg_pool2d(images, size) - F.adaptive_avg_pool2d(originals, size)
    loss = difference.abs().mean(dim=(1, 2, 3))
    return loss, {"loss/rec": loss.mean()}


def perceptual_loss(
    images: Tensor, originals: Tensor, size: int, distance: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Parts]:
    """Perceptual distance (B,) of both images averaged to `size` × `size` cells and enlarged again.

    What is finer than a cell tells people apart and shall be free to change.

    Args:
        images: (B, 3, H, W) in [-1, 1].
        originals: likewise.
        size: cells per side.
        distance: maps pairs of images to distances (B,).
    """
    coarse = [
        F.interpolate(F.adaptive_avg_pool2d(one, size), size=one.shape[-2:], mode="bilinear", align_corners=False)
        for one in (images, originals)
    ]
    loss = distance(*coarse)
    return loss, {"loss/perceptual": loss.mean()}


def identity_loss(embeddings: Sequence[Tensor], targets: Sequence[Tensor], margin: float) -> tuple[Tensor, Parts]:
    """Cosine (B,) to the original above a margin, mean over the proxies.

    Args:
        embeddings: for each proxy, L2-normalised embeddings (B, D) of the images.
        targets: likewise of the originals.
        margin: cosine below which an image counts as another person and is left alone.
    """
    cosines = _cosines(embeddings, targets)
    loss = F.relu(cosines - margin).mean(dim=0)
    return loss, {"loss/id": loss.mean(), "proxy/cosine": cosines.mean()}


def diversity_loss(embeddings: Sequence[Tensor], others: Sequence[Tensor], margin: float) -> tuple[Tensor, Parts]:
    """Cosine (B,) above a margin between images of one face made with two codes, mean over the proxies.

    Like `identity_loss`, with the other image in the place of the original.
    """
    cosines = _cosines(embeddings, others)
    loss = F.relu(cosines - margin).mean(dim=0)
    return loss, {"loss/diversity": loss.mean(), "proxy/cosine_of_codes": cosines.mean()}


def target_loss(embeddings: Sequence[Tensor], people: Sequence[Tensor]) -> tuple[Tensor, Parts]:
    """1 - cosine (B,) to the person that an image shall show, mean over the proxies (CIAGAN, Maximov 2020).

    Args:
        embeddings: for each proxy, L2-normalised embeddings (B, D) of the images.
        people: likewise of the people.
    """
    loss = 1 - _cosines(embeddings, people).mean(dim=0)
    return loss, {"loss/target": loss.mean()}


def _cosines(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    return torch.stack([(a * b).sum(dim=1) for a, b in zip(first, second, strict=True)])


def expression_loss(outputs: Tensor, targets: Tensor, kind: ExpressionLoss, temperature: float) -> tuple[Tensor, Parts]:
    """How far the teacher's view of the images is from its view of the originals, (B,).

    Args:
        outputs: (B, F + K), the teacher's features, if they are compared, and logits of the generated images.
        targets: likewise of the originals.
        kind: "kl", the divergence of posteriors (Hinton 2015) in nats times temperature²; "feature", 1 - cosine of
            features; or their sum.
        temperature: divides the logits; above 1, minor classes count for more.
    """
    terms = {}
    if "kl" in kind:
        posteriors, target_posteriors = (
            F.log_softmax(of[:, -len(EXPRESSIONS) :] / temperature, dim=1) for of in (outputs, targets)
        )
        divergence = F.kl_div(posteriors, target_posteriors, reduction="none", log_target=True)
        terms["loss/expr_kl"] = temperature**2 * divergence.sum(dim=1)
    if "feature" in kind:
        features, target_features = (of[:, : -len(EXPRESSIONS)] for of in (outputs, targets))
        terms["loss/expr_feature"] = 1 - F.cosine_similarity(features, target_features, dim=1)
    loss = torch.stack(list(terms.values())).sum(dim=0)
    parts = {name: term.mean() for name, term in terms.items()} if len(terms) > 1 else {}
    return loss, {"loss/expr": loss.mean(), **parts}
