"""Every anonymizer on one frontier: classical filters, the k-Same family, published GANs as styles, and our own."""

from collections.abc import Sequence
from typing import Any

from optuna import Trial

from search_spaces.baselines import BaselinesSpace
from veil.interfaces import Anchor
from veil.registry import search_spaces

STYLES = ("deepprivacy_style", "ciagan_style", "ganonymization_style")

PAINTED_IMAGES = 3000
PAINTED = ("archetype_label", "archetype", "archetype+posterior")
"""Conditionings that paint a face for the generator to start from: a label or seven numbers of the face shown."""

CONDITIONINGS = (
    *PAINTED, "emoji+posterior", "puppet+posterior", "landmarks", "landmarks+posterior",
    "landmarks+expression_regions", "pixels",
)  # fmt: skip
"""From one of seven pictures to all of a face: what a generator sees bounds what it can give away."""


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
                _ours(name, code)
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
        conditioning = trial.suggest_categorical("conditioning", CONDITIONINGS)
        code = trial.suggest_categorical("identity_code", ("none", "random"))
        weights = {
            "adv": trial.suggest_float("weight_adv", 0.03, 1.0, log=True),
            "id": trial.suggest_float("weight_id", 0.1, 10.0, log=True),
            "expr": trial.suggest_float("weight_expr", 0.3, 30.0, log=True),
            "rec": trial.suggest_float("weight_rec", 1.0, 100.0, log=True),
        }
        if code == "random":
            weights["diversity"] = trial.suggest_float("weight_diversity", 0.3, 10.0, log=True)
        settings = {
            "conditioning": conditioning,
            "identity_code": code,
            "teacher_transform_strength": 1.0,
            "weights": weights,
        }
        # A face to start from is the better warm start: the pre-training would only unlearn it.
        return settings | ({"warm_start_images": 0, "images": PAINTED_IMAGES} if conditioning in PAINTED else {})


def _ours(conditioning: str, code: str) -> Anchor:
    weights = (
        {"weight_adv": 0.1, "weight_id": 0.1, "weight_expr": 10.0, "weight_rec": 30.0}
        if conditioning in PAINTED
        else {"weight_adv": 0.3, "weight_id": 1.0, "weight_expr": 5.0, "weight_rec": 30.0}
    )
    if code == "random":
        weights["weight_diversity"] = 1.0
    return Anchor("gan_anonymizer", {"conditioning": conditioning, "identity_code": code, **weights})
