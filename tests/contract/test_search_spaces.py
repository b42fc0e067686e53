"""Every registered search space suggests only what its trainables accept."""

import pytest

from veil.config import SearchConfig
from veil.registry import search_spaces, trainables
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
