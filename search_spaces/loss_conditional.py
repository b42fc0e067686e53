"""One training for a whole frontier against one training for each point of it, at equal compute."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from optuna import Trial

from veil.interfaces import Anchor, Question
from veil.registry import search_spaces

INDEPENDENT, CONDITIONAL = "independent", "loss-conditional"


@search_spaces.register("loss_conditional")
class LossConditionalSpace:
    """`trainings` independent trainings at random λ, and one loss-conditional training that sees as many images.

    The loss-conditional generator is judged at the same λ, and at more of them, which cost no training. Source:
    Dosovitskiy and Djolonga, "You Only Train Once" (ICLR 2020).
    """

    trainables = ("gan_anonymizer",)
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"id": (0.1, 10.0), "expr": (0.1, 10.0), "rec": (3.0, 60.0)}
    images: ClassVar[int] = 1400
    """Images seen by each independent training; the loss-conditional one sees `trainings` times as many."""
    trainings: ClassVar[int] = 8
    points: ClassVar[int] = 16
    """λ at which the loss-conditional generator is judged, those of the independent trainings among them."""
    questions = (
        Question(
            "one loss-conditional training in place of independent ones",
            {"training": INDEPENDENT},
            {"training": CONDITIONAL},
            of="frontiers",
        ),
    )

    def anchors(self) -> Sequence[Anchor]:
        """The loss-conditional training first, for it is the longest; then the independent ones, then its points."""
        rng = random.Random(0)
        drawn = [
            {f"weight_{term}": _log_uniform(rng, *ends) for term, ends in self.ranges.items()}
            for _ in range(max(self.points, self.trainings))
        ]
        order = [(CONDITIONAL, drawn[0])]
        order += [(INDEPENDENT, weights) for weights in drawn[: self.trainings]]
        order += [(CONDITIONAL, weights) for weights in drawn[1 : self.points]]
        return [Anchor("gan_anonymizer", {"training": training, **weights}) for training, weights in order]

    def suggest(self, trial: Trial, trainable: str) -> dict[str, Any]:
        """A kind of training and λ within the ranges."""
        conditional = trial.suggest_categorical("training", (INDEPENDENT, CONDITIONAL)) == CONDITIONAL
        weights = {term: trial.suggest_float(f"weight_{term}", *ends, log=True) for term, ends in self.ranges.items()}
        if not conditional:
            return {"weights": weights, "images": self.images}
        ranges = {term: list(ends) for term, ends in self.ranges.items()}
        return {"weights": weights, "images": self.images * self.trainings, "loss_conditional": ranges}


def _log_uniform(rng: random.Random, low: float, high: float) -> float:
    return round(math.exp(rng.uniform(math.log(low), math.log(high))), 3)
