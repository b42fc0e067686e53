"""Search spaces: every anchor fits its space, and a wrong setting is refused before anything starts."""

from collections.abc import Sequence
from typing import Any

import optuna
import pytest
from optuna import Trial

from veil.config import SearchConfig
from veil.errors import ConfigError
from veil.interfaces import Anchor
from veil.sweep.space import (
    TRAINABLE_ATTRIBUTE,
    anchor_settings,
    check_space,
    resolve_settings,
    sample_settings,
    study_trainables,
)


class LineSpace:
    trainables = ("analytic",)

    def anchors(self) -> Sequence[Anchor]:
        return ()

    def suggest(self, trial: Trial, trainable: str) -> dict[str, Any]:
        return {"x": trial.suggest_float("x", 0.0, 1.0)}


def test_sampled_values_lie_over_the_base() -> None:
    search = SearchConfig.parse({"space": "analytic", "base": {"analytic": {"x": 0.1, "y": 0.3}}}, "test")
    settings = resolve_settings(search, "analytic", {"x": 0.9})
    assert settings.flatten() == {"x": 0.9, "y": 0.3, "sleep_seconds": 0.0, "images": 81, "late": 0.25, "fail": None}


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ({"analytic": {"z": 1}}, "unknown setting 'z'"),
        ({"analitic": {}}, "never runs"),
        ({"analytic": {"sleep_seconds": -1}}, "sleep_seconds"),
        ({"analytic": {"y": -1}}, "'y'.*found -1"),
    ],
)
def test_wrong_base_is_refused_before_anything_starts(base: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_space(SearchConfig(space="analytic", base=base))


def test_anchors_of_the_settings_may_bring_a_trainable_of_their_own() -> None:
    base = {"published": {"export": "faces"}}
    anchor = {"trainable": "published", "settings": {"method": "ciagan", "folder": "out"}}
    search = SearchConfig.parse({"space": "analytic", "base": base, "anchors": [anchor]}, "test")
    assert study_trainables(search, check_space(search)) == ("analytic", "published")
    settings = resolve_settings(search, "published", search.anchors[0].settings)
    assert settings.model_dump()["export"].is_absolute() and settings.model_dump()["method"] == "ciagan"


@pytest.mark.parametrize(
    ("anchor", "message"),
    [
        ({"trainable": "publishd", "settings": {}}, "did you mean 'published'"),
        ({"trainable": "published", "settings": {"method": "ciagan"}}, "'folder': Field required.*'export'"),
        ({"trainable": "published", "settings": {"method": "", "folder": "a", "export": "b"}}, "'method'"),
        ({"trainable": "analytic", "settings": {"z": 1}}, "unknown setting 'z'"),
    ],
)
def test_wrong_anchor_of_the_settings_is_refused_before_anything_starts(anchor: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_space(SearchConfig.parse({"space": "analytic", "anchors": [anchor]}, "test"))


def test_unknown_space_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'analytic'"):
        check_space(SearchConfig(space="analytical"))


@pytest.mark.parametrize(
    ("params", "message"), [({}, "x"), ({"x": 0.5, "speed": 3}, "never asks for speed"), ({"x": 7.0}, "7")]
)
def test_anchor_that_does_not_fit_its_space_is_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        anchor_settings(LineSpace(), Anchor("analytic", params))


def test_enqueued_trial_keeps_its_trainable() -> None:
    study = optuna.create_study()
    study.enqueue_trial({"x": 0.25}, user_attrs={TRAINABLE_ATTRIBUTE: "baseline"})
    assert sample_settings(LineSpace(), study.ask()) == ("baseline", {"x": 0.25})
    assert sample_settings(LineSpace(), study.ask())[0] == "analytic"


@pytest.mark.parametrize(
    ("space", "changes", "message"),
    [
        (
            "analytic",
            {"rungs": [9, 81]},
            "rungs has 81 images, expected fewer than the 81 .*search.base.analytic.images",
        ),
        ("analytic", {"rungs": [9], "attackers": ["parot"]}, "did you mean 'parrot'"),
        ("detectors", {"rungs": [9]}, "no trainable of the space can be stopped early"),
        ("frontier", {"rungs": [1000, 1400]}, "1400 images, expected fewer than the 1400 .*gan_anonymizer.images"),
    ],
)
def test_early_stopping_that_would_stop_nothing_is_refused(space: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_space(SearchConfig.parse({"space": space, "early_stopping": changes}, "test"))


def test_a_trial_may_be_stopped_below_the_length_of_its_training() -> None:
    base = {"analytic": {"images": 82}}
    check_space(SearchConfig.parse({"space": "analytic", "base": base, "early_stopping": {"rungs": [9, 81]}}, "test"))
