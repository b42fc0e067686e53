"""What frozen nets say of originals: stored for a study's own faces, asked for of extra ones, equal either way."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from real_faces import astronaut_faces
from stand_ins import small_roles

from trainables.gan.data import TrainingFaces, draw_samples
from trainables.gan.references import FeaturesAndLogits, references
from veil.faces.table import images_to_tensor, tensor_to_images


@pytest.fixture(scope="module")
def faces():
    batch = astronaut_faces(5)
    return TrainingFaces(tensor_to_images(batch.images), batch.landmarks.numpy(), key="all own")


def with_features(teacher):
    """The teacher, showing as features what its proxies' stand-in would say."""
    features = small_roles("cpu").proxies[1]
    teacher.features_and_logits = lambda images: (features(images), teacher(images))
    return FeaturesAndLogits(teacher)


@pytest.mark.parametrize("shown", [lambda teacher: teacher, with_features], ids=["logits", "features and logits"])
def test_extra_faces_get_what_they_would_as_own(faces, tmp_path, shown):
    roles = small_roles("cpu")
    teacher = shown(roles.teacher)
    stored = references(faces, roles.proxies, teacher, "cpu", tmp_path)
    mixed = references(replace(faces, extra=3, key="some extra"), roles.proxies, teacher, "cpu", tmp_path)
    assert (len(stored.teacher_outputs), len(mixed.teacher_outputs)) == (5, 2)
    samples = draw_samples(0, 0, 12, faces=2, extra=3, extra_share=0.5)
    assert samples.mirrored.any() and not samples.mirrored.all()
    for known, asked in zip(flat(stored.of(samples)), flat(mixed.of(samples)), strict=True):
        torch.testing.assert_close(known, asked)


def flat(seen):
    return [*seen.embeddings, seen.teacher]


def test_features_come_before_logits_and_are_kept_apart(faces, tmp_path):
    roles = small_roles("cpu")
    plain = references(faces, roles.proxies, roles.teacher, "cpu", tmp_path).teacher_outputs
    both = references(faces, roles.proxies, with_features(roles.teacher), "cpu", tmp_path).teacher_outputs
    assert (plain.shape, both.shape) == ((5, 2, 7), (5, 2, 8 + 7))
    torch.testing.assert_close(both[..., 8:], plain)
    torch.testing.assert_close(both[:, 1, :8], roles.proxies[1](images_to_tensor(faces.images).flip(-1)))


def test_people_are_the_means_of_their_faces(faces, tmp_path):
    roles = small_roles("cpu")
    known = references(replace(faces, people=np.array([1, 0, 1, 1, 0])), roles.proxies, roles.teacher, "cpu", tmp_path)
    for people, embeddings in zip(known.people, known.embeddings, strict=True):
        for number, members in ((0, [1, 4]), (1, [0, 2, 3])):
            mean = embeddings[members].mean(dim=(0, 1))
            torch.testing.assert_close(people[number], mean / mean.norm())
