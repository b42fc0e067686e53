"""The generator sees the average face that shows the expression, as a picture: seven numbers of a face, painted."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from trainables.conditioning.posterior import Posterior, posteriors
from veil.interfaces import CROP_SIZE, EXPRESSIONS, FaceBatch
from veil.registry import conditionings

WEIGHTS = Path(__file__).with_name("archetype.safetensors")
"""Least-squares fit of grey pixels to the posterior, over faces of FER-2013's training part and their mirror images;
`tests/benchmarks/average_faces.py` makes it."""


@conditionings.register("archetype")
class Archetype:
    """What faces of this expression look like on average, in grey.

    No more of a person comes through than what the expression net reads from the face, as with `posterior` and `emoji`;
    a generator that starts from a face learns to paint one sooner than from lines. The picture is linear in the
    posterior, so that a face between two expressions is painted between them.
    """

    channels = 1
    canvas = 0
    needs: frozenset[str] = frozenset()

    @property
    def models(self) -> Mapping[str, str]:
        """SHA-256 of the expression net's weights."""
        return Posterior().models

    def __call__(self, faces: FaceBatch) -> Tensor:
        """Return float (B, 1, 112, 112), grey in [-1, 1]."""
        return _paint(posteriors(faces.images).to(faces.images))


@conditionings.register("archetype_label")
class ArchetypeLabel(Archetype):
    """One of seven pictures: the archetype of the most probable expression.

    What a generator without an identity code publishes is then one of seven images, so that an image tells at most
    log2(7) = 2.8 bits about the face it stands for, whoever attacks it.
    """

    def __call__(self, faces: FaceBatch) -> Tensor:
        """Return float (B, 1, 112, 112), grey in [-1, 1]."""
        likeliest = posteriors(faces.images).argmax(dim=1)
        return _paint(F.one_hot(likeliest, len(EXPRESSIONS)).to(faces.images))


def _paint(expressions: Tensor) -> Tensor:
    return (expressions @ _coefficients().to(expressions)).view(-1, 1, CROP_SIZE, CROP_SIZE).clamp(-1, 1)


@cache
def _coefficients() -> Tensor:
    return load_file(WEIGHTS)["coefficients"].float()
