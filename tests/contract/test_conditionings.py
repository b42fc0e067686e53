"""What every registered conditioning must keep; a new file is tested on arrival."""

import pickle

import pytest
import torch
from real_faces import astronaut_faces

from trainables.conditioning import build_conditioning
from veil.interfaces import Conditioning, FaceBatch
from veil.registry import conditionings


@pytest.fixture(scope="module")
def faces():
    return astronaut_faces(4)


@pytest.fixture(params=conditionings.names())
def conditioning(request):
    return build_conditioning(request.param)


def test_shape_range_and_type(conditioning, faces):
    signal = conditioning(faces)
    assert isinstance(conditioning, Conditioning)
    assert signal.shape == (4, conditioning.channels, 112, 112)
    assert signal.dtype is torch.float32
    assert torch.isfinite(signal).all()
    assert signal.min() >= -1 and signal.max() <= 1
    assert signal.std() > 0, "an empty signal conditions nothing"


def test_deterministic_and_leaves_its_input_alone(conditioning, faces):
    before = FaceBatch(faces.images.clone(), faces.landmarks.clone())
    assert torch.equal(conditioning(faces), conditioning(faces))
    assert torch.equal(faces.images, before.images)
    assert torch.equal(faces.landmarks, before.landmarks)


def test_one_by_one_equals_the_batch(conditioning, faces):
    single = [conditioning(FaceBatch(faces.images[i : i + 1], faces.landmarks[i : i + 1])) for i in range(4)]
    torch.testing.assert_close(torch.cat(single), conditioning(faces), rtol=0, atol=1e-6)


def test_an_empty_batch_gives_an_empty_signal(conditioning, faces):
    signal = conditioning(FaceBatch(faces.images[:0], faces.landmarks[:0]))
    assert signal.shape == (0, conditioning.channels, 112, 112)


def test_travels_to_workers(conditioning, faces):
    again = pickle.loads(pickle.dumps(conditioning))  # noqa: S301 (our own object)
    assert torch.equal(again(faces), conditioning(faces))


def test_no_gradient_is_kept(conditioning, faces):
    assert not conditioning(faces).requires_grad
