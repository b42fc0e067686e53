"""The first study: two ways of fooling oneself, classical baselines, and a search over λ and conditioning."""

from collections.abc import Sequence
from typing import Any

from optuna import Trial

from veil.interfaces import Anchor
from veil.registry import search_spaces

CONDITIONINGS = ("pixels", "lowpass", "landmarks", "masked+landmarks")


@search_spaces.register("smoke")
class SmokeSpace:
    """λ_id, λ_expr, λ_rec and the conditioning of the GAN anonymizer, beside blur and pixelate.

    The anchors hold what every reader wants to see first: classical baselines, and a GAN that sees the pixels and
    pushes hard on its own loss recognizer without random transforms, next to one that sees landmarks only.
    """

    trainables = ("gan_anonymizer", "baseline")

    def anchors(self) -> Sequence[Anchor]:
        """Blur, pixelate and blackout among the pixel-conditioned and landmark-conditioned corners.

        The long trials stand in between, so that two workers are busy from the first minute.
        """
        return (
            Anchor("baseline", {"method": "blur", "kernel": 11}),
            Anchor("gan_anonymizer", _gan("pixels", weight_id=10.0, weight_expr=0.3, transforms=False)),
            Anchor("gan_anonymizer", _gan("landmarks", weight_id=1.0, weight_expr=1.0, transforms=True)),
            Anchor("baseline", {"method": "blur", "kernel": 31}),
            Anchor("baseline", {"method": "pixelate", "block": 8}),
            Anchor("baseline", {"method": "pixelate", "block": 16}),
            Anchor("gan_anonymizer", _gan("pixels", weight_id=3.0, weight_expr=2.0, transforms=True)),
            Anchor("gan_anonymizer", _gan("masked+landmarks", weight_id=1.0, weight_expr=2.0, transforms=True)),
            Anchor("baseline", {"method": "blackout"}),
        )

    def suggest(self, trial: Trial, trainable: str) -> dict[str, Any]:
        """Settings of a baseline or of the GAN anonymizer."""
        if trainable == "baseline":
            method = trial.suggest_categorical("method", ("blur", "pixelate", "blackout"))
            settings: dict[str, Any] = {"method": method}
            if method == "blur":
                settings["kernel"] = trial.suggest_int("kernel", 3, 51, step=2)
            elif method == "pixelate":
                settings["block"] = trial.suggest_int("block", 2, 28)
            return settings
        return {
            "conditioning": trial.suggest_categorical("conditioning", CONDITIONINGS),
            "proxy_transforms": trial.suggest_categorical("proxy_transforms", (True, False)),
            "weights": {
                "id": trial.suggest_float("weight_id", 0.1, 10.0, log=True),
                "expr": trial.suggest_float("weight_expr", 0.1, 10.0, log=True),
                "rec": trial.suggest_float("weight_rec", 3.0, 60.0, log=True),
            },
        }


def _gan(conditioning: str, weight_id: float, weight_expr: float, transforms: bool) -> dict[str, Any]:
    return {
        "conditioning": conditioning,
        "proxy_transforms": transforms,
        "weight_id": weight_id,
        "weight_expr": weight_expr,
        "weight_rec": 10.0,
    }
