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
        of: name of the variant that it is compared with.
    """

    change: str
    settings: Mapping[str, Any]
    of: str = "full"


FULL: Mapping[str, Any] = {
    "conditioning": "archetype_label",
    "identity_code": "random",
    "weights": {"adv": 0.05, "id": 0.25, "expr": 7.5, "rec": 50.0, "diversity": 0.3},
    "teacher_transform_strength": 1.0,
    "warm_start_images": 0,
    "images": 2000,
}
WARM_START = 3000
LANDMARKS: Mapping[str, Any] = {
    "conditioning": "landmarks",
    "warm_start_images": WARM_START,
    "weights": {"adv": 0.3, "id": 1.0},
}
"""A condition that gives a face's shape away, so that there is something for L_id to suppress."""

VARIANTS: Mapping[str, Variant] = {
    "without L_id": Variant("removing L_id", {"weights": {"id": 0.0}}),
    "without L_expr": Variant("removing L_expr", {"weights": {"expr": 0.0}}),
    "L_expr by features": Variant("comparing the teacher's features instead of KL", {"expression_loss": "feature"}),
    "L_expr by KL and features": Variant("comparing the teacher's features too", {"expression_loss": "kl+feature"}),
    "without teacher's views": Variant("showing the teacher the image itself", {"teacher_transform_strength": 0.0}),
    "without a code": Variant(
        "giving no random identity code", {"identity_code": "none", "weights": {"diversity": 0.0}}
    ),
    "paints onto nothing": Variant("painting onto nothing instead of over the archetype", {"paint_over": False}),
    "with warm start": Variant("pre-training with L_adv and L_rec", {"warm_start_images": WARM_START}),
    "loud discriminator": Variant("ten times the weight of L_adv", {"weights": {"adv": 0.5}}),
    "sees the mixed archetype": Variant(
        "showing the archetype of the whole posterior instead of the label's", {"conditioning": "archetype"}
    ),
    "sees the posterior": Variant(
        "showing the posterior beside its archetype", {"conditioning": "archetype+posterior"}
    ),
    "sees an emoji": Variant(
        "showing an emoji and the posterior instead of the archetype",
        {"conditioning": "emoji+posterior", "warm_start_images": WARM_START},
    ),
    "sees landmarks": Variant("showing the face's landmarks instead of the archetype", LANDMARKS),
    "sees landmarks, without L_id": Variant(
        "removing L_id where the generator sees landmarks",
        {**LANDMARKS, "weights": {"adv": 0.3, "id": 0.0}},
        of="sees landmarks",
    ),
    "sees landmarks, without L_expr": Variant(
        "removing L_expr where the generator sees landmarks",
        {**LANDMARKS, "weights": {"adv": 0.3, "id": 1.0, "expr": 0.0}},
        of="sees landmarks",
    ),
    "sees landmarks, without proxies' views": Variant(
        "showing proxies the image itself where the generator sees landmarks",
        {**LANDMARKS, "proxy_transforms": False},
        of="sees landmarks",
    ),
    "sees pixels": Variant(
        "showing the pixels of the whole face instead of the archetype", {**LANDMARKS, "conditioning": "pixels"}
    ),
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
            Question(variant.change, {"variant": variant.of}, {"variant": name})
            for name, variant in self.variants.items()
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
