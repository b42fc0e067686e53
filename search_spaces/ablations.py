"""What each part of the GAN anonymizer is worth: the full method, and one change of it at a time, in several seeds."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from optuna import Trial

from veil.interfaces import Anchor, Question
from veil.registry import search_spaces


class Variant(NamedTuple):
    """One change of the full method.

    Attributes:
        change: what is done, to go on with "costs …".
        settings: over those of the full method.
    """

    change: str
    settings: Mapping[str, Any]


FULL: Mapping[str, Any] = {
    "conditioning": "landmarks",
    "weights": {"id": 1.0, "expr": 3.0, "rec": 10.0},
    "teacher_transform_strength": 1.0,
}

VARIANTS: Mapping[str, Variant] = {
    "without L_id": Variant("removing L_id", {"weights": {"id": 0.0}}),
    "without L_expr": Variant("removing L_expr", {"weights": {"expr": 0.0}}),
    "L_expr by features": Variant("comparing the teacher's features instead of KL", {"expression_loss": "feature"}),
    "L_expr by KL and features": Variant("comparing the teacher's features too", {"expression_loss": "kl+feature"}),
    "without proxies' views": Variant("showing proxies the image itself", {"proxy_transforms": False}),
    "without teacher's views": Variant("showing the teacher the image itself", {"teacher_transform_strength": 0.0}),
    "without warm start": Variant("starting from noise", {"warm_start_images": 0}),
    "random code": Variant("giving each image a random identity code", {"identity_code": "random"}),
    "random code, diversity": Variant(
        "giving each image a random identity code with a diversity loss",
        {"identity_code": "random", "weights": {"diversity": 1.0}},
    ),
    "sees heatmaps": Variant("showing heatmaps instead of landmark lines", {"conditioning": "heatmaps"}),
    "sees parsing": Variant("showing a parsing map instead of landmark lines", {"conditioning": "parsing"}),
    "sees the posterior": Variant("showing the expression's posterior too", {"conditioning": "landmarks+posterior"}),
    "sees a puppet": Variant("showing a puppet instead of the face's own landmarks", {"conditioning": "puppet"}),
    "sees an emoji": Variant(
        "showing an emoji and the posterior instead of landmarks", {"conditioning": "emoji+posterior"}
    ),
    "sees expression regions": Variant(
        "showing the pixels of eyes, brows and mouth too", {"conditioning": "landmarks+expression_regions"}
    ),
    "sees pixels": Variant("showing the pixels of the whole face", {"conditioning": "pixels"}),
}


@search_spaces.register("ablations")
class Ablations:
    """The full method and each change of it in `seeds` trainings, and a question for each change.

    Variants share the study's warm starts, references and seeds. To ask about a method of your own, register a subclass
    with other `full` and `variants`; settings that all share can also be given as `search.base`.
    """

    trainables = ("gan_anonymizer",)
    full: ClassVar[Mapping[str, Any]] = FULL
    variants: ClassVar[Mapping[str, Variant]] = VARIANTS
    seeds: ClassVar[int] = 3

    @property
    def questions(self) -> tuple[Question, ...]:
        """What each change does to the full method."""
        return tuple(
            Question(variant.change, {"variant": "full"}, {"variant": name}) for name, variant in self.variants.items()
        )

    def anchors(self) -> Sequence[Anchor]:
        """Every variant in every seed; one seed after another, so that a study that is stopped has answers."""
        return [
            Anchor("gan_anonymizer", {"variant": name, "training_seed": seed})
            for seed in range(self.seeds)
            for name in ("full", *self.variants)
        ]

    def suggest(self, trial: Trial, trainable: str) -> dict[str, Any]:
        """A variant and a seed of its training."""
        name = trial.suggest_categorical("variant", ("full", *self.variants))
        seed = trial.suggest_int("training_seed", 0, self.seeds - 1)
        changed = {} if name == "full" else self.variants[name].settings
        weights = {**self.full.get("weights", {}), **changed.get("weights", {})}
        return {**self.full, **changed, "weights": weights, "training_seed": seed}
