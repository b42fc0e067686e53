"""What a new method has to beat: classical filters, the k-Same family, and published GANs as styles of ours."""

from collections.abc import Sequence
from typing import Any, ClassVar

from optuna import Trial

from veil.interfaces import Anchor
from veil.registry import search_spaces

LARGEST_K = {"average": 10, "select": 5, "furthest": 10}
"""The default splits give a pool of 12 people, of whom 10 show the more frequent expressions."""


class BaselinesSpace:
    """Classical and k-Same baselines; the anchors are the grid that comparisons in the field show."""

    trainables: ClassVar[tuple[str, ...]] = ("baseline", "ksame")

    def anchors(self) -> Sequence[Anchor]:
        """Each method from mild to strong."""
        return (
            *(Anchor("baseline", {"method": "blur", "kernel": kernel}) for kernel in (11, 31, 51)),
            *(Anchor("baseline", {"method": "pixelate", "block": block}) for block in (4, 8, 16)),
            *(Anchor("baseline", {"method": "blackout", "area": area}) for area in ("eyes", "face", "crop")),
            *(Anchor("baseline", {"method": "average_face", "reading": seen}) for seen in ("label", "posterior")),
            *(_ksame("average", k) for k in (2, 5, 10)),
            *(_ksame("select", k) for k in (2, 5)),
            *(_ksame("furthest", k) for k in (2, 5, 10)),
            _ksame("average", 5, warp=True),
            *(_ksame("select", k, warp=True) for k in (2, 5)),
        )

    def suggest(self, trial: Trial, trainable: str) -> dict[str, Any]:
        """One method and its strength."""
        if trainable == "ksame":
            method = trial.suggest_categorical("selection", tuple(LARGEST_K))
            return {
                "method": method,
                "k": trial.suggest_int("k", 2, LARGEST_K[method]),
                "warp": trial.suggest_categorical("warp", (False, True)),
            }
        method = trial.suggest_categorical("method", ("blur", "pixelate", "blackout", "average_face"))
        if method == "blur":
            return {"method": method, "kernel": trial.suggest_int("kernel", 3, 111, step=2)}
        if method == "pixelate":
            return {"method": method, "block": trial.suggest_int("block", 2, 56)}
        if method == "average_face":
            return {"method": method, "reading": trial.suggest_categorical("reading", ("label", "posterior"))}
        return {"method": method, "area": trial.suggest_categorical("area", ("eyes", "face", "crop"))}


@search_spaces.register("baselines")
class AllBaselinesSpace(BaselinesSpace):
    """Classical and k-Same baselines, and published GANs as styles of ours, at the weights of their papers first."""

    trainables = (*BaselinesSpace.trainables, "deepprivacy_style", "ciagan_style", "ganonymization_style")

    def anchors(self) -> Sequence[Anchor]:
        """Those that train nothing, then the styles."""
        return (
            *super().anchors(),
            Anchor("deepprivacy_style", {"weight_rec": 10.0}),
            Anchor("ciagan_style", {"weight_rec": 10.0, "weight_target": 1.0}),
            Anchor("ganonymization_style", {"weight_rec": 100.0}),
        )

    def suggest(self, trial: Trial, trainable: str) -> dict[str, Any]:
        """One method and its strength."""
        if trainable in BaselinesSpace.trainables:
            return super().suggest(trial, trainable)
        weights = {"rec": trial.suggest_float("weight_rec", 3.0, 300.0, log=True)}
        if trainable == "ciagan_style":
            weights["target"] = trial.suggest_float("weight_target", 0.1, 10.0, log=True)
        return {"weights": weights}


def _ksame(selection: str, k: int, warp: bool = False) -> Anchor:
    return Anchor("ksame", {"selection": selection, "k": k, "warp": warp})
