"""The average face of an expression, published as it is."""

import pytest
import torch
from real_faces import astronaut_faces

from trainables.anonymizers.average_face import AverageFace
from trainables.conditioning import build_conditioning
from veil.errors import ConfigError
from veil.interfaces import FaceBatch


@pytest.fixture(scope="module")
def faces():
    images = astronaut_faces(2).images
    return FaceBatch(torch.cat([images, images.flip(3), images * 0.5]), None)


@pytest.mark.parametrize(("reading", "seen"), [("label", "archetype_label"), ("posterior", "archetype")])
def test_it_publishes_what_the_conditioning_of_that_name_shows(faces, reading, seen):
    shown = AverageFace(reading)(faces)
    assert shown.shape == faces.images.shape and shown.min() >= -1 and shown.max() <= 1
    torch.testing.assert_close(shown, build_conditioning(seen)(faces).expand_as(shown))


def test_a_label_makes_one_of_seven_images(faces):
    noise = FaceBatch(torch.rand(40, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1, None)
    shown = torch.cat([AverageFace("label")(noise), AverageFace("label")(faces)])
    assert len(shown.flatten(1).unique(dim=0)) <= 7
    assert len(AverageFace("posterior")(noise).flatten(1).unique(dim=0)) == 40


def test_the_net_that_reads_the_face_is_declared(faces):
    assert AverageFace().models == AverageFace("posterior").models and set(AverageFace().models) == {"fer_resnet"}


def test_an_unknown_reading_is_refused():
    with pytest.raises(ConfigError, match="expected 'label' or 'posterior'"):
        AverageFace("emotion")
