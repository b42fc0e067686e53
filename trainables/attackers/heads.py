"""Small maps on top of a frozen recognizer's embeddings, trained to tell people apart in clear and anonymized images.

Shapes: N images, D embedding size, C people of the training set.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from veil.interfaces import AttackFailedError
from veil.protocol.pairs import SMALLEST_NORM

HeadKind = Literal["linear", "mlp"]
HeadLoss = Literal["softmax", "arcface"]


class Head(nn.Module):
    """The identity map plus a learned correction that starts at zero.

    Args:
        kind: "linear" adds x W, "mlp" adds V gelu(W x).
        size: D.
        hidden: width of the MLP.
    """

    def __init__(self, kind: HeadKind, size: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        sizes = (size, size) if kind == "linear" else (size, hidden, size)
        # Unlike the constructor, skip_init draws nothing from the process's own random numbers.
        layers: list[nn.Module] = [
            nn.utils.skip_init(nn.Linear, inputs, outputs, bias=False) for inputs, outputs in pairwise(sizes)
        ]
        for layer in layers:
            nn.init.normal_(layer.weight, std=size**-0.5, generator=generator)
        nn.init.zeros_(layers[-1].weight)
        self.correction = nn.Sequential(layers[0], *(part for layer in layers[1:] for part in (nn.GELU(), layer)))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map (N, D) to unit vectors (N, D); a row without direction stays near 0."""
        return F.normalize(embeddings + self.correction(embeddings), dim=1, eps=SMALLEST_NORM)

    def departure(self) -> Tensor:
        """Squared size of what departs from the identity map: exactly so for the linear head."""
        return torch.stack([parameter.square().sum() for parameter in self.correction.parameters()]).sum()


class TrainingSet(NamedTuple):
    """Labelled embeddings of one kind of images.

    Attributes:
        embeddings: (N, D), centred and of unit length.
        labels: int (N,), person in 0..C-1.
    """

    embeddings: NDArray[np.float64]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class TrainedHeads:
    """Result of `train_heads`.

    Attributes:
        clear: map for embeddings of clear images.
        anonymized: map for embeddings of anonymized images.
        prototypes: float64 (C, D), unit vector of each person of the training set.
        clear_accuracy: share of clear training images nearest to their own person.
        anonymized_accuracy: the same for the anonymized training images.
        loss: last training loss.
    """

    clear: Head
    anonymized: Head
    prototypes: NDArray[np.float64]
    clear_accuracy: float
    anonymized_accuracy: float
    loss: float

    def map_clear(self, embeddings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (N, D) embeddings of clear images in float64."""
        return _apply(self.clear, embeddings)

    def map_anonymized(self, embeddings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (N, D) embeddings of anonymized images in float64."""
        return _apply(self.anonymized, embeddings)


class HeadSettings(NamedTuple):
    """How heads are trained.

    Attributes:
        kind, hidden: shape of the heads.
        loss: "arcface" is the softmax over scaled cosines with an additive angular margin (a plain cosine softmax where
            the margin is 0), "softmax" the one over inner products with prototypes of free length.
        epochs: full-batch steps.
        learning_rate: of Adam for the heads; prototypes, which start at random, learn five times faster.
        scale: inverse temperature of the cosine softmax.
        margin: additive angular margin in radians.
        anchor: weight of the squared departure from the identity map.
        min_clear_accuracy: training accuracy on clear images below which the attacker counts as broken.
    """

    kind: HeadKind
    hidden: int
    loss: HeadLoss
    epochs: int
    learning_rate: float
    scale: float
    margin: float
    anchor: float
    min_clear_accuracy: float


def train_heads(clear: TrainingSet, anonymized: TrainingSet, settings: HeadSettings, seed: int) -> TrainedHeads:
    """Train one head for clear and one for anonymized embeddings against shared prototypes of the people.

    The loss is a softmax over both kinds of images, plain or with an additive angular margin (ArcFace: Deng et al.,
    2019). Two heads let the attacker undo a re-encoding that the anonymizer applies to everybody; the shared prototypes
    make clear and anonymized images of one person meet.

    Prototypes start at random, so the clear training images are told apart only if optimisation works. That separates
    an attacker that is broken, which cannot even do this, from an anonymizer that nobody can learn, such as a constant
    image.

    Raises:
        AttackFailedError: the loss is not finite, or the clear training images were not learned.
    """
    generator = torch.Generator().manual_seed(seed)
    size = clear.embeddings.shape[1]
    people = int(max(clear.labels.max(), anonymized.labels.max())) + 1
    heads = nn.ModuleList([Head(settings.kind, size, settings.hidden, generator) for _ in range(2)])
    prototypes = nn.Parameter(torch.randn(people, size, generator=generator) * size**-0.5)
    optimizer = torch.optim.Adam(
        [
            {"params": list(heads.parameters()), "lr": settings.learning_rate},
            {"params": [prototypes], "lr": 5 * settings.learning_rate},
        ]
    )
    inputs = [torch.from_numpy(part.embeddings).float() for part in (clear, anonymized)]
    labels = torch.from_numpy(np.concatenate([clear.labels, anonymized.labels]))
    with _one_thread():
        for _ in range(settings.epochs):
            loss = F.cross_entropy(_logits(_mapped(heads, inputs), prototypes, labels, settings), labels)
            loss = loss + settings.anchor * torch.stack([head.departure() for head in heads]).sum()
            if not torch.isfinite(loss):
                raise AttackFailedError(f"the loss of the attacker's heads is {loss.item()}, expected a finite number")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    with torch.no_grad():
        correct = (cosines(_mapped(heads, inputs), prototypes).argmax(dim=1) == labels).double().numpy()
    clear_accuracy = float(correct[: len(clear.labels)].mean())
    if not clear_accuracy >= settings.min_clear_accuracy:
        raise AttackFailedError(
            f"the attacker's heads fit only {clear_accuracy:.0%} of their own clear training images, expected at least "
            f"{settings.min_clear_accuracy:.0%}; raise `epochs` or `learning_rate`, or lower `anchor`"
        )
    return TrainedHeads(
        clear=heads[0].double().requires_grad_(False),
        anonymized=heads[1].double().requires_grad_(False),
        prototypes=F.normalize(prototypes.detach().double(), dim=1).numpy(),
        clear_accuracy=clear_accuracy,
        anonymized_accuracy=float(correct[len(clear.labels) :].mean()),
        loss=float(loss.detach()),
    )


def ridge_registration(
    anonymized_ND: NDArray[np.float64], clear_ND: NDArray[np.float64], ridge: float
) -> NDArray[np.float64]:
    """Linear map (D, D) from anonymized embeddings to the clear ones of the same images, shrunk toward the identity.

    Minimises the sum of |a M - c|^2 + ridge |M - I|^2, in closed form.
    """
    identity = np.eye(anonymized_ND.shape[1])
    gram = anonymized_ND.T @ anonymized_ND + ridge * identity
    return identity + np.linalg.solve(gram, anonymized_ND.T @ (clear_ND - anonymized_ND))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Matrices of a few hundred rows are slower on several threads, and far slower where those threads must wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _mapped(heads: nn.ModuleList, inputs: list[Tensor]) -> Tensor:
    return torch.cat([head(embeddings) for head, embeddings in zip(heads, inputs, strict=True)])


def _logits(embeddings: Tensor, prototypes: Tensor, labels: Tensor, settings: HeadSettings) -> Tensor:
    if settings.loss == "softmax":
        return embeddings @ prototypes.T
    return settings.scale * with_margin(cosines(embeddings, prototypes), labels, settings.margin)


def cosines(embeddings: Tensor, prototypes: Tensor) -> Tensor:
    """Cosines (N, C) between unit embeddings (N, D) and prototypes (C, D) of any length."""
    return embeddings @ F.normalize(prototypes, dim=1).T


def with_margin(cosines: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Turn the angle between each embedding and its own prototype, in cosines (N, C), by `margin` radians (ArcFace)."""
    own = labels[:, None]
    # The clamp keeps the slope of acos finite at +-1.
    angles = torch.acos(cosines.gather(1, own).clamp(-1 + 1e-6, 1 - 1e-6))
    return cosines.scatter(1, own, torch.cos(angles + margin))


def _apply(head: Head, embeddings: NDArray[np.float64]) -> NDArray[np.float64]:
    with torch.no_grad():
        return head(torch.from_numpy(np.ascontiguousarray(embeddings, dtype=np.float64))).numpy()
