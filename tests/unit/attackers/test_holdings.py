"""What an attacker holds of its own people."""

import numpy as np
import pytest
import torch
from attack_sets import ColourRecognizer, image_setting, simulated_setting

from trainables.attackers.holdings import held_images, person_labels
from veil.interfaces import AttackFailedError


def untouched(clear, people):
    return clear


def test_holds_so_many_images_of_each_person_with_all_that_belongs_to_them():
    setting = image_setting(lambda faces: torch.flip(faces.images, [3]), ColourRecognizer())
    held = held_images(setting, 3)
    assert (np.unique(held.identities, return_counts=True)[1] == 3).all()
    for name, values in vars(held).items():
        rows = np.searchsorted(setting.owned.sources, held.sources)
        np.testing.assert_array_equal(values, getattr(setting.owned, name)[rows])


def test_holds_embeddings_alone_where_there_are_no_images():
    held = held_images(simulated_setting(untouched), 4)
    assert len(held.clear) == len(held.anonymized) == 32
    assert len(held.clear_images) == 0


@pytest.mark.parametrize("most", [None, 10, 99])
def test_holds_everything_below_the_limit(most):
    setting = simulated_setting(untouched)
    np.testing.assert_array_equal(held_images(setting, most).sources, setting.owned.sources)


def test_one_person_is_too_few():
    with pytest.raises(AttackFailedError, match="at least 2 people of its own, found 1"):
        held_images(simulated_setting(untouched, n_owned=1), None)


def test_people_are_numbered_without_gaps():
    labels = person_labels(simulated_setting(untouched, n_target=10, n_owned=3).owned)
    np.testing.assert_array_equal(labels, np.repeat([0, 1, 2], 10))
