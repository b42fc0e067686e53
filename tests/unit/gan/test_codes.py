"""What the generator is told: codes that belong to the position in the training, and at use to the image."""

import numpy as np
import pytest
import torch
from real_faces import astronaut_faces
from scipy.stats import kstest

from trainables.gan.codes import CodeAtUse, CodeSettings
from trainables.gan.data import draw_samples
from veil.faces.table import images_to_tensor, tensor_to_images

RANGES = {"id": (0.1, 10.0), "rec": (3.0, 60.0)}


def test_codes_belong_to_the_position_and_change_nothing_else():
    codes = CodeSettings("random", 5, RANGES)
    whole = draw_samples(3, 10, 8, 5, codes=codes)
    parts = [draw_samples(3, first, 4, 5, codes=codes) for first in (10, 14)]
    for value, *pieces in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(value, np.concatenate(pieces))
    for value, without in zip(whole[:5], draw_samples(3, 10, 8, 5)[:5], strict=True):
        np.testing.assert_array_equal(value, without)
    assert not np.array_equal(whole.codes, whole.other_codes)
    np.testing.assert_array_equal(whole.code("cpu"), np.hstack([whole.codes, whole.preferences]))
    np.testing.assert_array_equal(whole.code("cpu", other=True), np.hstack([whole.other_codes, whole.preferences]))
    assert draw_samples(3, 10, 8, 5).code("cpu") is None


def test_random_codes_are_standard_normal_and_weights_log_uniform():
    codes = CodeSettings("random", 2, RANGES)
    samples = draw_samples(0, 0, 2000, 5, codes=codes)
    assert kstest(np.hstack([samples.codes, samples.other_codes]).ravel(), "norm").pvalue > 0.01
    weights = codes.weights(torch.from_numpy(samples.preferences))
    assert set(weights) == {"id", "rec"}
    for term, (low, high) in RANGES.items():
        assert kstest(np.log(weights[term].numpy()), "uniform", (np.log(low), np.log(high / low))).pvalue > 0.01


def test_preferences_and_weights_are_inverse():
    codes = CodeSettings(ranges=RANGES)
    assert codes.total == 2
    assert codes.preferences({"id": 0.1, "rec": 60.0, "adv": 1.0}) == pytest.approx([-1, 1])
    assert codes.preferences({"id": 1.0, "rec": np.sqrt(180)}) == pytest.approx([0, 0], abs=1e-12)
    weights = codes.weights(torch.tensor([codes.preferences({"id": 2.5, "rec": 7.0})]))
    assert {term: value.item() for term, value in weights.items()} == pytest.approx({"id": 2.5, "rec": 7.0})


def test_nobody_is_their_own_target_and_everybody_else_is():
    people = np.array([0, 0, 1, 2])
    samples = draw_samples(0, 0, 400, 4, extra=2, extra_share=0.25, codes=CodeSettings("target", 3), people=people)
    np.testing.assert_array_equal(np.sort(samples.codes, axis=1), np.tile([0, 0, 1], (400, 1)))
    own = samples.indices < 4
    targets = samples.codes.argmax(axis=1)
    assert set(zip(people[samples.indices[own]], targets[own], strict=True)) == {
        (person, target) for person in range(3) for target in range(3) if person != target
    }
    assert set(targets[~own]) == {0, 1, 2}, "strangers may become anyone"


@pytest.fixture(scope="module")
def images():
    return astronaut_faces(4).images


@pytest.mark.parametrize("identity", ["random", "target"])
def test_the_code_at_use_is_the_image_s_own(images, identity):
    code = CodeAtUse(identity, 64, "image", seed=0, preferences=(0.5, -1.0))
    all_four = code(images)
    assert all_four.shape == (4, 66) and all_four.dtype == torch.float32
    assert torch.equal(torch.cat([code(images[2:]), code(images[:1])]), all_four[[2, 3, 0]])
    assert torch.equal(code(images_to_tensor(tensor_to_images(images))), all_four), "a saved image is the same image"
    assert (all_four[:, 64:] == torch.tensor([0.5, -1.0])).all()
    assert len(all_four.unique(dim=0)) == 4
    other = CodeAtUse(identity, 64, "image", seed=1)(images)
    assert not (other == all_four[:, :64]).all(dim=1).any()
    if identity == "target":
        assert (all_four[:, :64].sum(dim=1) == 1).all()
    assert code(images[:0]).shape == (0, 66)


def test_a_fixed_code_is_everybody_s(images):
    code = CodeAtUse("random", 4, "fixed", seed=0)
    assert len(code(images).unique(dim=0)) == 1
    assert not torch.equal(code(images), CodeAtUse("random", 4, "fixed", seed=1)(images))


def test_without_an_identity_code_the_weights_are_all(images):
    assert CodeAtUse("none", 0, "image", 0, (0.25,))(images).tolist() == [[0.25]] * 4
