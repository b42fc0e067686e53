"""Every anonymizer on one frontier: classical filters, the k-Same family, published GANs as styles, and our own."""

from collections.abc import Sequence
from typing import Any

from optuna import Trial

from search_spaces.baselines import BaselinesSpace
from veil.interfaces import Anchor
from veil.registry import search_spaces

STYLES = ("deepprivacy_style", "ciagan_style", "ganonymization_style")

EXPRESSION_ALONE = ("emoji+posterior", "archetype+posterior", "archetype+emoji+posterior")
"""Conditionings that show seven numbers of a face: there is hardly an identity to push away."""

CONDITIONINGS = (
    *EXPRESSION_ALONE, "puppet+posterior", "landmarks", "landmarks+posterior", "landmarks+expression_regions",
    "masked+landmarks+posterior", "pixels",
)  # fmt: skip
"""From seven numbers of a face to all of it: what a generator sees bounds what it can give away."""


@search_spaces.register("frontier")
class FrontierSpace(BaselinesSpace):
    """The anchors of all families, ours among them; the sampler goes on with ours alone.

    Ours are trained with random identity codes, so that two pictures of one person need not show one new person, and
    without.
    """

    trainables = ("gan_anonymizer", *STYLES, *BaselinesSpace.trainables)

    def anchors(self) -> Sequence[Anchor]:
        """Ours first, for they take longest."""
        return (
            *(
                Anchor("gan_anonymizer", {"conditioning": name, "identity_code": code, **_weights(name)})
                for name in CONDITIONINGS
                for code in ("none", "random")
                if code == "none" or name != "pixels"
            ),
            *(Anchor(style, {"weight_rec": weight}) for style in STYLES for weight in (10.0, 100.0)),
            *super().anchors(),
        )

    def suggest(self, trial: Trial, trainable: str) -> dict[str, Any]:
        """Settings of ours, of a style, or of a baseline."""
        if trainable in BaselinesSpace.trainables:
            return super().suggest(trial, trainable)
        if trainable in STYLES:
            return {"weights": {"rec": trial.suggest_float("weight_rec", 1.0, 100.0, log=True)}}
        code = trial.suggest_categorical("identity_code", ("none", "random"))
        return {
            "conditioning": trial.suggest_categorical("conditioning", CONDITIONINGS),
            "identity_code": code,
            "teacher_transform_strength": 1.0,
            "weights": {
                "id": trial.suggest_float("weight_id", 0.1, 10.0, log=True),
                "expr": trial.suggest_float("weight_expr", 0.1, 10.0, log=True),
                "rec": trial.suggest_float("weight_rec", 1.0, 100.0, log=True),
                "diversity": 1.0 if code == "random" else 0.0,
            },
        }


def _weights(conditioning: str) -> dict[str, float]:
    return {"weight_id": 0.1 if conditioning in EXPRESSION_ALONE else 1.0, "weight_expr": 3.0, "weight_rec": 10.0}
