"""Every registered search space suggests only what its trainables accept."""

import pytest

from veil.config import DataConfig, SearchConfig, load_study_config
from veil.registry import conditionings, detectors, find_preset, search_spaces, trainables
from veil.sweep.space import anchor_settings, check_space, load_space


@pytest.mark.parametrize("name", search_spaces.names())
def test_space_is_accepted_by_its_trainables(name: str) -> None:
    space = check_space(SearchConfig(space=name))
    assert set(space.trainables) <= set(trainables.names())


@pytest.mark.parametrize("name", search_spaces.names())
def test_anchors_differ(name: str) -> None:
    space = load_space(name)
    settings = [(anchor.trainable, str(anchor_settings(space, anchor))) for anchor in space.anchors()]
    assert len(set(settings)) == len(settings)


def test_conditioning_space_explores_every_signal() -> None:
    space = load_space("conditioning")
    explored = {anchor_settings(space, anchor)["conditioning"] for anchor in space.anchors()}
    assert set(conditionings.names()) <= explored


@pytest.mark.parametrize("name", ["detectors", "ablations", "loss_conditional"])
def test_studies_of_a_grid_end_with_it(name: str) -> None:
    config = load_study_config(find_preset(name))
    assert config.search.trials == len(load_space(config.search.space).anchors()), "set search.trials of the preset"


def test_detector_study_compares_every_detector() -> None:
    space = load_space("detectors")
    compared = {anchor_settings(space, anchor)["detector"] for anchor in space.anchors()}
    assert compared == set(space.detectors) == set(detectors.names())
    assert DataConfig().detector in space.detectors


@pytest.mark.parametrize("name", search_spaces.names())
def test_questions_are_about_trials_of_the_study(name: str) -> None:
    space = load_space(name)
    sampled = [anchor.params for anchor in space.anchors()]
    for question in getattr(space, "questions", ()):
        for group in (question.reference, question.variant):
            assert any(group.items() <= params.items() for params in sampled), f"no anchor has {group}"


def test_both_kinds_of_training_see_equally_many_images() -> None:
    space = load_space("loss_conditional")
    anchors = [anchor_settings(space, anchor) for anchor in space.anchors()]
    shared = {settings["images"] for settings in anchors if "loss_conditional" in settings}
    independent = [settings for settings in anchors if "loss_conditional" not in settings]
    assert shared == {sum(settings["images"] for settings in independent)}
    at_the_same = [settings["weights"] for settings in anchors if "loss_conditional" in settings]
    assert all(settings["weights"] in at_the_same for settings in independent)
