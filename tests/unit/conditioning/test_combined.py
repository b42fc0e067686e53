"""Sums of conditionings by name."""

import pytest
import torch
from real_faces import astronaut_faces

from trainables.conditioning import build_conditioning
from trainables.conditioning.masked_landmarks import MaskedLandmarks
from veil.errors import ConfigError


def test_any_sum_concatenates_its_parts_in_order():
    faces = astronaut_faces(2)
    combined = build_conditioning("lowpass+landmarks")
    assert combined.channels == 4
    expected = torch.cat([build_conditioning("lowpass")(faces), build_conditioning("landmarks")(faces)], dim=1)
    assert torch.equal(combined(faces), expected)


def test_a_sum_has_the_canvas_of_its_first_part_that_paints_a_face():
    faces = astronaut_faces(1)
    combined = build_conditioning("posterior+archetype+lowpass")
    painted = build_conditioning("archetype")(faces)
    assert torch.equal(combined(faces)[:, [combined.canvas]], painted)
    assert build_conditioning("lowpass+landmarks").canvas is None


def test_a_registered_sum_is_taken_as_such():
    assert type(build_conditioning("masked+landmarks")) is MaskedLandmarks


@pytest.mark.parametrize("name", ["landmark", "lowpass+landmark", "+"])
def test_unknown_part_is_named_with_the_nearest(name):
    with pytest.raises(ConfigError, match="unknown conditioning"):
        build_conditioning(name)


def test_lowpass_forgets_what_lies_within_a_cell():
    faces = astronaut_faces(1)
    shuffled = faces.images.clone()
    # Swapping the pixels of one 8 × 8 cell leaves its mean.
    shuffled[:, :, 40:48, 40:48] = shuffled[:, :, 40:48, 40:48].flip(-1)
    lowpass = build_conditioning("lowpass")
    torch.testing.assert_close(lowpass(faces._replace(images=shuffled)), lowpass(faces))
