"""What a generator may see: every signal alone and sums of them, at equal weights first."""

from collections.abc import Sequence
from typing import Any

from optuna import Trial

from veil.interfaces import Anchor
from veil.registry import search_spaces

CONDITIONINGS = (
    "pixels", "lowpass", "masked", "landmarks", "heatmaps", "keypoints", "parsing", "pose", "posterior",
    "puppet", "emoji", "archetype", "archetype_label", "eyes", "mouth", "expression_regions",
    "masked+keypoints", "masked+landmarks", "masked+parsing", "masked+landmarks+posterior",
    "landmarks+pose", "heatmaps+pose", "parsing+pose", "parsing+lowpass", "lowpass+landmarks",
    "landmarks+mouth", "expression_regions+landmarks", "posterior+pose", "posterior+landmarks",
    "puppet+posterior", "emoji+posterior", "archetype+posterior",
)  # fmt: skip


@search_spaces.register("conditioning")
class ConditioningSpace:
    """The conditioning of the GAN anonymizer, and the weights of its loss.

    The anchors give every conditioning the same weights, so that they differ in nothing but what is seen.
    """

    trainables = ("gan_anonymizer",)

    def anchors(self) -> Sequence[Anchor]:
        """Every conditioning at the same weights."""
        weights = {"weight_id": 1.0, "weight_expr": 1.0, "weight_rec": 10.0}
        return [Anchor("gan_anonymizer", {"conditioning": name, **weights}) for name in CONDITIONINGS]

    def suggest(self, trial: Trial, trainable: str) -> dict[str, Any]:
        """A conditioning with weights of identity, expression and reconstruction."""
        return {
            "conditioning": trial.suggest_categorical("conditioning", CONDITIONINGS),
            "weights": {
                "id": trial.suggest_float("weight_id", 0.1, 10.0, log=True),
                "expr": trial.suggest_float("weight_expr", 0.1, 10.0, log=True),
                "rec": trial.suggest_float("weight_rec", 3.0, 60.0, log=True),
            },
        }
