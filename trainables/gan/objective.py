"""The four terms: look real, keep the structure, lose the identity, keep the expression.

Shapes: B images, C channels of the condition, D embedding size, K = 7 expression classes.
Every loss returns a scalar and its parts to log.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Adversarial = Literal["hinge", "nonsaturating", "lsgan"]
Parts = dict[str, Tensor]


@dataclass(frozen=True)
class LossWeights:
    """λ of each term of the generator's loss; 0 leaves a term out, at no cost.

    Attributes:
        adv: adversarial.
        rec: low-pass reconstruction.
        id: similarity to the original in the proxies' eyes.
        expr: divergence from the original in the teacher's eyes.
    """

    adv: float = 1.0
    rec: float = 10.0
    id: float = 1.0
    expr: float = 1.0

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


def reconstruction_loss(images: Tensor, originals: Tensor, size: int) -> tuple[Tensor, Parts]:
    """Mean absolute difference of both images averaged to `size` × `size` cells: structure, not texture."""
    loss = F.l1_loss(F.adaptive_avg_pool2d(images, size), F.adaptive_avg_pool2d(originals, size))
    return loss, {"loss/rec": loss}


def identity_loss(
    images: Tensor, targets: Sequence[Tensor], proxies: Sequence[Callable[[Tensor], Tensor]], margin: float
) -> tuple[Tensor, Parts]:
    """Cosine to the original above a margin, mean over the proxies.

    Args:
        images: (B, 3, H, W), as the proxies shall see them.
        targets: for each proxy, L2-normalised embeddings (B, D) of the originals.
        proxies: map images to L2-normalised embeddings (B, D).
        margin: cosine below which an image counts as another person and is left alone.
    """
    cosines = torch.stack([(proxy(images) * target).sum(dim=1) for proxy, target in zip(proxies, targets, strict=True)])
    loss = F.relu(cosines - margin).mean()
    return loss, {"loss/id": loss, "proxy/cosine": cosines.mean()}


def expression_loss(logits: Tensor, target_logits: Tensor, temperature: float) -> tuple[Tensor, Parts]:
    """KL divergence from the teacher's posterior on the originals (Hinton 2015), in nats times temperature².

    Args:
        logits: (B, K), the teacher's on the generated images.
        target_logits: (B, K), the teacher's on the originals.
        temperature: divides both; above 1, minor classes count for more.
    """
    loss = temperature**2 * F.kl_div(
        F.log_softmax(logits / temperature, dim=1),
        F.log_softmax(target_logits / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return loss, {"loss/expr": loss}
