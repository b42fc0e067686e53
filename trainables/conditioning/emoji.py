"""The generator sees the average face that shows the expression: seven numbers of a face, drawn."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from trainables.conditioning.geometry import draw_polylines
from trainables.conditioning.posterior import Posterior, posteriors
from veil.interfaces import FaceBatch
from veil.registry import conditionings

WEIGHTS = Path(__file__).with_name("emoji.safetensors")
"""Least-squares fit of the 68 landmarks to the posterior, over faces of FER-2013's training part and their mirror
images; `tests/benchmarks/average_faces.py` makes it."""


@conditionings.register("emoji")
class Emoji:
    """Polylines through the landmarks that faces of this expression have on average, looking straight ahead.

    The posterior alone gives a generator nothing to hold on to: its planes are the same everywhere. Drawn, it says
    where a mouth is, and still no more of a person than what the expression net reads from the face. The landmarks are
    linear in the posterior, so that a face between two expressions is drawn between them.
    """

    channels = 1
    needs: frozenset[str] = frozenset()

    @property
    def models(self) -> Mapping[str, str]:
        """SHA-256 of the expression net's weights."""
        return Posterior().models

    def __call__(self, faces: FaceBatch) -> Tensor:
        """Return float (B, 1, 112, 112), -1 background to 1 line."""
        drawn = posteriors(faces.images).to(faces.images) @ _coefficients().to(faces.images)
        return draw_polylines(faces._replace(landmarks=drawn.view(-1, 68, 2)))


@cache
def _coefficients() -> Tensor:
    return load_file(WEIGHTS)["coefficients"]
