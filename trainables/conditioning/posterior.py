"""The generator sees which expression a frozen net reads from the clear face: seven numbers, no place."""

import hashlib
from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from veil.expression import expression_net_sha256, load_expression_net
from veil.interfaces import EXPRESSIONS, FaceBatch
from veil.registry import conditionings
from veil.weights.frozen import FrozenNet

NET = "fer_resnet"
"""Expression net that is looked through; it may be the teacher of the loss and never the evaluator."""

CHUNK_IMAGES = 32

MAX_REMEMBERED = 1 << 16
"""Images of which a process remembers the posterior."""

_remembered: dict[bytes, Tensor] = {}


@conditionings.register("posterior")
class Posterior:
    """The calibrated posterior of the shipped expression net as seven constant planes.

    It is the mean of the posteriors of the image and its mirror image: an expression has no side. A process remembers
    what it has asked, for the net costs a fifth of a training step and training shows the same faces again and again.
    """

    channels = len(EXPRESSIONS)
    needs: frozenset[str] = frozenset()

    @property
    def models(self) -> Mapping[str, str]:
        """SHA-256 of the net's weights."""
        return {NET: _sha256()}

    def __call__(self, faces: FaceBatch) -> Tensor:
        """Return float (B, 7, 112, 112), -1 impossible to 1 certain, in the order of EXPRESSIONS."""
        images = faces.images
        planes = (posteriors(images) * 2 - 1).to(images)
        return planes[:, :, None, None].expand(-1, -1, *images.shape[-2:]).contiguous()


def posteriors(images: Tensor) -> Tensor:
    """Posteriors (B, 7) on the CPU; only images that this process has not seen yet are shown to the net."""
    keys = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images.detach().cpu().numpy()]
    known = {key: posterior for key in keys if (posterior := _remembered.get(key)) is not None}
    unseen = {key: index for index, key in enumerate(keys) if key not in known}
    indices = list(unseen.values())
    for first in range(0, len(indices), CHUNK_IMAGES):
        chunk = indices[first : first + CHUNK_IMAGES]
        known |= zip((keys[index] for index in chunk), _ask(images[chunk]).cpu(), strict=True)
    if len(_remembered) + len(unseen) > MAX_REMEMBERED:
        _remembered.clear()
    _remembered.update({key: known[key] for key in unseen})
    return torch.stack([known[key] for key in keys]) if keys else torch.empty(0, len(EXPRESSIONS))


@torch.no_grad()
def _ask(images: Tensor) -> Tensor:
    net = _net(images.device)
    return (net(images).softmax(dim=1) + net(images.flip(-1)).softmax(dim=1)) / 2


@cache
def _net(device: torch.device) -> FrozenNet:
    return load_expression_net(NET, device)


@cache
def _sha256() -> str:
    return expression_net_sha256(NET)
