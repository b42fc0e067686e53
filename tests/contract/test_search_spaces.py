"""Every registered search space suggests only what its trainables accept."""

import pytest

from veil.config import SearchConfig, load_study_config
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


def test_detector_study_compares_every_detector_and_ends_with_its_grid() -> None:
    space, config = load_space("detectors"), load_study_config(find_preset("detectors"))
    anchors = [anchor_settings(space, anchor) for anchor in space.anchors()]
    assert {settings["detector"] for settings in anchors} == set(space.detectors) == set(detectors.names())
    assert config.data.detector in space.detectors
    assert config.search.trials == len(anchors), "set search.trials of the preset to the number of its pairs"
