"""Training batches: chance belongs to the position in the training."""

import numpy as np
import pytest
import torch
from real_faces import astronaut_faces

from trainables.conditioning import build_conditioning
from trainables.gan.data import TrainingFaces, draw_samples, make_batch, noise_images
from veil.errors import DataError
from veil.faces.table import images_to_tensor, tensor_to_images


@pytest.fixture(scope="module")
def faces():
    batch = astronaut_faces(5)
    return TrainingFaces(tensor_to_images(batch.images), batch.landmarks.numpy(), key="astronaut")


def test_a_batch_is_the_sum_of_its_parts():
    whole = draw_samples(seed=3, first=10, count=8, faces=5)
    parts = [draw_samples(3, first, 4, 5) for first in (10, 14)]
    for value, *pieces in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(value, np.concatenate(pieces))


def test_an_epoch_shows_each_face_once_in_changing_order():
    epochs = draw_samples(0, 0, 60, 20).indices.reshape(3, 20)
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])


def test_seeds_and_positions_differ():
    a, b = draw_samples(0, 0, 200, 10), draw_samples(1, 0, 200, 10)
    assert not np.array_equal(a.draws, b.draws)
    assert len(np.unique(a.noise_seeds)) == 200
    assert 0.35 < a.mirrored.mean() < 0.65
    assert abs(a.draws.mean() - 0.5) < 0.03


def test_noise_of_one_image_depends_on_its_seed_alone():
    both, one = noise_images(np.array([5, 6]), 16, "cpu"), noise_images(np.array([6]), 16, "cpu")
    assert both.shape == (2, 3, 16, 16)
    assert torch.equal(both[1:], one)


def test_mirrored_faces_have_mirrored_landmarks(faces):
    none, all_ = np.zeros(5, bool), np.ones(5, bool)
    plain, mirrored = (faces.batch(np.arange(5), sides) for sides in (none, all_))
    assert torch.equal(plain.images, images_to_tensor(faces.images))
    assert torch.equal(mirrored.images, plain.images.flip(-1))
    # The mirrored right eye is the left one, at the mirrored place.
    torch.testing.assert_close(mirrored.landmarks[:, 45, 0], 111 - plain.landmarks[:, 36, 0])
    torch.testing.assert_close(mirrored.landmarks[:, 45, 1], plain.landmarks[:, 36, 1])


@pytest.mark.parametrize("name", ["landmarks", "masked+landmarks", "lowpass"])
def test_the_condition_of_a_mirrored_face_is_the_mirrored_condition(faces, name):
    conditioning = build_conditioning(name)
    plain, mirrored = (conditioning(faces.batch(np.arange(5), np.full(5, side))) for side in (False, True))
    # Antialiasing rounds to sixteenths of a pixel, not symmetrically.
    assert (mirrored.flip(-1) - plain).abs().mean() < 2e-3


def test_batch_puts_faces_and_what_may_be_seen_together(faces):
    batch = make_batch(faces, build_conditioning("landmarks"), draw_samples(0, 0, 3, 5))
    assert batch.originals.shape == (3, 3, 112, 112)
    assert batch.condition.shape == (3, 1, 112, 112)


def test_no_faces_is_an_error():
    with pytest.raises(DataError, match="train split"):
        TrainingFaces(np.zeros((0, 3, 112, 112), np.uint8), np.zeros((0, 68, 2), np.float32), "none")


def test_poses_move_pixels_and_landmarks_alike(faces):
    samples = draw_samples(seed=1, first=0, count=5, faces=5)
    white = TrainingFaces(np.zeros_like(faces.images), faces.landmarks, "dots")
    for image, (x, y) in zip(white.images, white.landmarks[:, 33], strict=True):
        image[:, round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3] = 255
    moved = white.batch(np.arange(5), np.zeros(5, bool), samples.poses)
    shift = (moved.landmarks[:, 33] - torch.from_numpy(white.landmarks[:, 33])).norm(dim=1)
    assert shift.max() > 1, "or nothing moved"
    weights = (moved.images[:, 0] + 1) / 2
    total = weights.sum((1, 2))
    x = (weights.sum(1) * torch.arange(112)).sum(1) / total
    y = (weights.sum(2) * torch.arange(112)).sum(1) / total
    torch.testing.assert_close(torch.stack([x, y], dim=1), moved.landmarks[:, 33], rtol=0, atol=1.0)


def test_no_augmentation_leaves_faces_as_they_are(faces):
    samples = draw_samples(seed=1, first=0, count=5, faces=5, augmentation=0.0)
    still = faces.batch(samples.indices, np.zeros(5, bool), samples.poses)
    torch.testing.assert_close(still.images, images_to_tensor(faces.images[samples.indices]))
    torch.testing.assert_close(still.landmarks, torch.from_numpy(faces.landmarks[samples.indices]))
