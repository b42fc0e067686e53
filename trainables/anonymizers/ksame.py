"""The k-Same family: a face becomes the mean of k faces of other people."""

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from trainables.anonymizers.pool import FacePool
from veil.interfaces import EXPRESSIONS, SubjectPool

if TYPE_CHECKING:
    from veil.interfaces import FaceBatch
    from veil.weights.frozen import FrozenNet

Method = Literal["average", "select", "furthest"]


class KSame:
    """Shows the mean of k pool faces; of the face itself nothing is left but which k they are.

    - "average": the k nearest in eigenface space (Newton, Sweeney, Malin: Preserving privacy by de-identifying face
      images, 2005).
    - "select": the k nearest among those with the same expression (Gross, Airoldi, Malin, Sweeney: Integrating utility
      into face de-identification, 2005). The expression is the most probable one of those in the pool.
    - "furthest": the k furthest (Meng, Sun: Face de-identification with perfect privacy protection, 2014).

    The papers de-identify a closed set, in which every face is one of the k that it becomes. Here the pool is of other
    people, so that faces nobody has seen before can be anonymized too.

    Args:
        faces: the pool.
        method: which of its faces are mixed.
        k: how many.
        expression_net: frozen net that reads the expression of a face; "select" needs it, the others take none.

    Attributes:
        pool: whose faces are mixed.
        models: SHA-256 of the net through which the clear face is seen, by its name.
    """

    def __init__(self, faces: FacePool, method: Method, k: int, expression_net: "FrozenNet | None" = None) -> None:
        if (method == "select") != (expression_net is not None):
            raise ValueError(f"method {method!r} with expression net {expression_net}: 'select' needs one, others none")
        self.pool = SubjectPool(faces.identities, k, faces.expressions)
        self.models = {} if expression_net is None else {expression_net.name: expression_net.asset_sha256}
        self._sign = -1.0 if method == "furthest" else 1.0
        self._expression_net = expression_net
        self._mean, self._eigenfaces, self._codes = map(torch.from_numpy, (faces.mean, faces.eigenfaces, faces.codes))
        self._greys = torch.from_numpy(faces.images).flatten(1).float()
        self._shows = torch.tensor([[expression == own for own in faces.expressions] for expression in EXPRESSIONS])

    @torch.no_grad()
    def __call__(self, faces: "FaceBatch") -> Tensor:
        """Return float (B, 3, 112, 112) in [-1, 1]."""
        images = faces.images
        codes = (images.flatten(1) - self._mean.to(images)) @ self._eigenfaces.to(images).T
        distances = self._sign * torch.cdist(codes, self._codes.to(images))
        if self._expression_net is not None:
            distances = distances.masked_fill(~self._same_expression(images), torch.inf)
        chosen = distances.topk(self.pool.k, largest=False).indices
        # Sums of whole grey levels are exact: the same k faces give the same image, bit for bit, in any batch.
        sums = torch.zeros_like(distances).scatter_(1, chosen, 1.0) @ self._greys.to(images)
        return (sums / (127.5 * self.pool.k) - 1).view_as(images).clamp(-1, 1)

    def _same_expression(self, images: Tensor) -> Tensor:
        """Bool (B, N), whether each face of the pool shows what each image shows."""
        assert self._expression_net is not None
        shows = self._shows.to(images.device)
        logits = self._expression_net.to(images.device)(images)
        return shows[logits.masked_fill(~shows.any(dim=1), -torch.inf).argmax(dim=1)]
