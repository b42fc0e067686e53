"""What every registered conditioning must keep; a new file is tested on arrival."""

import copy
import pickle
import re

import pytest
import torch
from real_faces import astronaut_faces

from trainables.conditioning import build_conditioning
from trainables.conditioning.geometry import mirror_faces
from veil.errors import DataError
from veil.faces.parsing import MIRRORED_PARTS
from veil.interfaces import FACE_PARTS, NO_PART, Conditioning, FaceBatch
from veil.registry import conditionings


@pytest.fixture(scope="module")
def faces():
    return astronaut_faces(4)


@pytest.fixture(params=conditionings.names())
def name(request):
    return request.param


@pytest.fixture
def conditioning(name):
    return build_conditioning(name)


def test_shape_range_and_type(conditioning, faces):
    signal = conditioning(faces)
    assert isinstance(conditioning, Conditioning)
    assert signal.shape == (4, conditioning.channels, 112, 112)
    assert signal.dtype is torch.float32
    assert torch.isfinite(signal).all()
    assert signal.min() >= -1 and signal.max() <= 1
    assert signal.std() > 0, "an empty signal conditions nothing"


def test_deterministic_and_leaves_its_input_alone(conditioning, faces):
    before = FaceBatch(*(value.clone() for value in faces))
    assert torch.equal(conditioning(faces), conditioning(faces))
    for value, untouched in zip(faces, before, strict=True):
        assert torch.equal(value, untouched)


def test_one_by_one_equals_the_batch(conditioning, faces):
    single = [conditioning(FaceBatch(*(value[i : i + 1] for value in faces))) for i in range(4)]
    torch.testing.assert_close(torch.cat(single), conditioning(faces), rtol=0, atol=1e-6)


def test_an_empty_batch_gives_an_empty_signal(conditioning, faces):
    signal = conditioning(FaceBatch(*(value[:0] for value in faces)))
    assert signal.shape == (0, conditioning.channels, 112, 112)


def test_travels_to_workers(conditioning, faces):
    expected = conditioning(faces)
    again = pickle.loads(pickle.dumps(conditioning))  # noqa: S301 (our own object)
    assert torch.equal(again(faces), expected)
    assert torch.equal(copy.deepcopy(conditioning)(faces), expected)


ORIENTED = {
    "heatmaps": lambda signal: signal[:, [0, 2, 1, 3, 4, 6, 5, 7, 8]],  # brows and eyes change sides
    "parsing": lambda signal: signal[:, MIRRORED_PARTS[: len(FACE_PARTS)].tolist()],
    "pose": lambda signal: signal * torch.tensor([-1.0, 1.0, -1.0]).view(1, 3, 1, 1),
}


def test_mirrored_faces_give_mirrored_signals(name, conditioning, faces):
    expected = ORIENTED.get(name, lambda signal: signal)(conditioning(faces).flip(-1))
    error = (conditioning(mirror_faces(faces)) - expected).abs()
    assert error.mean() < 0.01, "the borders of what is drawn may fall on another pixel, nothing else may differ"


def test_nets_that_are_looked_through_are_declared_by_their_hash(conditioning):
    for net, sha256 in getattr(conditioning, "models", {}).items():
        assert net and re.fullmatch("[0-9a-f]{64}", sha256)


def test_no_gradient_is_kept(conditioning, faces):
    assert not conditioning(faces).requires_grad


MISSING = {"landmarks68": ("landmarks", float("nan")), "parsing": ("parsing", NO_PART), "pose": ("pose", float("nan"))}


def test_a_face_without_what_is_needed_is_an_error_and_never_zeros(conditioning, faces):
    assert conditioning.needs <= set(MISSING)
    for need, (field, missing) in MISSING.items():
        values = getattr(faces, field).clone()
        values[[1, 3]] = missing
        lacking = faces._replace(**{field: values})
        if need in conditioning.needs:
            with pytest.raises(DataError, match="2 of 4 faces have no"):
                conditioning(lacking)
        else:
            assert torch.equal(conditioning(lacking), conditioning(faces)), f"it draws on {need} and does not say so"
