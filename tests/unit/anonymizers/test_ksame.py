"""k-Same against numpy: which faces are mixed, how, and that nothing else of a face is left."""

from functools import cache

import numpy as np
import pytest
import torch
from attack_sets import StripeExpression, pattern_faces
from face_rows import make_row
from hypothesis import given, settings
from hypothesis import strategies as st
from real_faces import astronaut_faces
from scipy.ndimage import map_coordinates
from scipy.spatial.distance import cdist

from trainables.anonymizers.ksame import KSame
from trainables.anonymizers.pool import FacePool
from veil.errors import DataError
from veil.faces.contract import CropContract
from veil.faces.table import FaceTable, tensor_to_images
from veil.interfaces import EXPRESSIONS, FaceBatch

PEOPLE, IMAGES = 7, 3


@cache
def faces():
    return pattern_faces({"train": PEOPLE}, images=IMAGES)


@cache
def pool(variance=0.95):
    return FacePool.build(faces(), variance=variance)


def probes(count, seed=0):
    coarse = np.random.default_rng(seed).uniform(-1, 1, (count, 3, 7, 7)).astype(np.float32)
    return FaceBatch(torch.from_numpy(coarse.repeat(16, axis=2).repeat(16, axis=3)), torch.zeros(count, 68, 2))


def flat(images):
    return np.asarray(images, np.float64).reshape(len(images), -1)


def test_the_pool_holds_each_person_s_image_nearest_to_their_mean():
    crops = faces().crops[:].astype(np.float64).reshape(PEOPLE, IMAGES, -1)
    nearest = [cdist(own, own.mean(axis=0, keepdims=True)).argmin() for own in crops]
    expected = faces().crops[:].reshape(PEOPLE, IMAGES, 3, 112, 112)[range(PEOPLE), nearest]
    np.testing.assert_array_equal(pool().images, expected)
    assert pool().identities == tuple(f"train{person:02d}" for person in range(PEOPLE))
    assert pool().expressions == ()


@pytest.mark.parametrize("method", ["average", "furthest"])
@pytest.mark.parametrize("k", [2, 3, 6])
@pytest.mark.parametrize("variance", [1.0, 0.8])
def test_the_output_is_the_mean_of_the_k_nearest_or_furthest(method, k, variance):
    centred = flat(pool().images) / 127.5 - 1
    mean = centred.mean(axis=0)
    _, values, axes = np.linalg.svd(centred - mean, full_matrices=False)
    explained = np.cumsum(values**2) / np.sum(values**2)
    # All of the variance: the order in pixels, without any projection.
    keep = np.searchsorted(explained, variance) + 1
    seen = [points - mean for points in (flat(probes(20).images), centred)]
    order = cdist(*(points @ axes[:keep].T if variance < 1 else points for points in seen)).argsort(axis=1)
    chosen = order[:, :k] if method == "average" else order[:, -k:]
    expected = pool().images.astype(np.float64)[chosen].mean(axis=1) / 127.5 - 1
    output = KSame(pool(variance), method, k)(probes(20))
    np.testing.assert_allclose(output.numpy(), expected, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["average", "furthest"]), st.integers(2, PEOPLE - 1))
def test_an_output_is_k_faces_of_other_people_in_equal_parts_and_nothing_of_the_face(seed, method, k):
    anonymize = KSame(pool(), method, k)
    batch = probes(2, seed)
    output = anonymize(batch)
    parts, residual, *_ = np.linalg.lstsq(flat(pool().images).T, flat((output + 1) * 127.5).T, rcond=None)
    np.testing.assert_allclose(residual, 0, atol=1e-3)
    np.testing.assert_allclose(np.sort(parts, axis=0), np.repeat([[0.0], [1 / k]], [PEOPLE - k, k], axis=0) + 0 * parts,
                               atol=1e-5)  # fmt: skip
    # The selection is all that an output tells: moving a face without changing it changes no bit.
    moved = FaceBatch(batch.images + 1e-3 * torch.randn_like(batch.images), batch.landmarks)
    again = anonymize(moved)
    same = [torch.equal(one, other) for one, other in zip(output, again, strict=True)]
    other_parts = np.linalg.lstsq(flat(pool().images).T, flat((again + 1) * 127.5).T, rcond=None)[0]
    assert same == [bool(np.allclose(*pair, atol=1e-3)) for pair in zip(parts.T, other_parts.T, strict=True)]


def test_select_mixes_faces_of_the_same_expression_only():
    shown = ["happy", "sad", "sad"] * PEOPLE
    divided = FacePool.build(faces(), shown, variance=1.0)
    assert divided.expressions == ("happy", "sad") * PEOPLE
    anonymize = KSame(divided, "select", 3, StripeExpression())
    assert anonymize.models == {"stripes": "e" * 64}
    assert set(anonymize.pool.parts) == {"happy", "sad"} and anonymize.pool.k == 3
    batch = probes(30)
    logits = StripeExpression()(batch.images)[:, [EXPRESSIONS.index("happy"), EXPRESSIONS.index("sad")]].numpy()
    assert 5 < (logits[:, 0] > logits[:, 1]).sum() < 25
    pixels = flat(divided.images) / 127.5 - 1
    for image, output, (happy, sad) in zip(batch.images, anonymize(batch), logits, strict=True):
        own = np.flatnonzero(np.array(divided.expressions) == ("happy" if happy > sad else "sad"))
        nearest = own[cdist(flat(image[None]), pixels[own])[0].argsort()[:3]]
        expected = divided.images[nearest].astype(np.float64).mean(axis=0) / 127.5 - 1
        np.testing.assert_allclose(output.numpy(), expected, atol=1e-6)


def test_a_net_is_for_select_and_select_is_for_a_net():
    for method, net in (("select", None), ("average", StripeExpression())):
        with pytest.raises(ValueError, match="'select' needs one"):
            KSame(pool(), method, 3, net)


@pytest.mark.parametrize("expressions", [(), ("happy", "happy", "sad", "sad")])
def test_warped_faces_have_their_landmarks_at_the_mean_shape(expressions):
    landmarks = astronaut_faces(4).landmarks.numpy()
    ys, xs = np.mgrid[:112, :112].astype(np.uint8)
    rows = []
    for index, points in enumerate(landmarks):
        # Every pixel says where it was: red its x, green its y; and blue whose face it is.
        crop = np.stack([xs, ys, np.full_like(xs, index)])
        rows.append(make_row(index, identity=f"p{index}", crop=crop, landmarks68=points))
    table = FaceTable.from_rows(rows, CropContract("none", "0" * 64, {}, "none", "0" * 64))
    warped = FacePool.build(table, expressions, warp=True).images
    for index, image in enumerate(warped):
        like = [i for i in range(4) if not expressions or expressions[i] == expressions[index]]
        shape = landmarks[like].mean(axis=0)
        inside = ((shape < 110) & (landmarks[index] < 110)).all(axis=1)
        x, y = shape[inside].T
        came_from = np.stack([map_coordinates(image[channel].astype(float), [y, x], order=1) for channel in (0, 1)])
        assert inside.sum() > 50 and np.abs(came_from - landmarks[index, inside].T).max() < 1.5
        assert (image[2] == index).all()


def test_a_pool_comes_back_as_it_was_or_not_at_all(tmp_path):
    divided = FacePool.build(faces(), ["happy", "sad", "sad"] * PEOPLE)
    divided.save(tmp_path)
    batch = probes(10)
    before, after = (KSame(one, "select", 3, StripeExpression())(batch) for one in (divided, FacePool.load(tmp_path)))
    assert torch.equal(before, after)
    assert FacePool.load(tmp_path).identities == divided.identities

    damaged = bytearray((tmp_path / "pool.npz").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "pool.npz").write_bytes(damaged)
    with pytest.raises(DataError, match=r"SHA-256 of pool.npz .* run the trial again"):
        FacePool.load(tmp_path)


def test_published_images_of_one_selection_are_equal_in_every_batch():
    anonymize, batch = KSame(pool(), "average", 2), probes(12)
    together = tensor_to_images(anonymize(batch))
    alone = [tensor_to_images(anonymize(FaceBatch(image[None], batch.landmarks[:1])))[0] for image in batch.images]
    np.testing.assert_array_equal(together, np.stack(alone))
    assert len(np.unique(together, axis=0)) < len(together)
