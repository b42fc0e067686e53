"""What frozen nets say of originals: stored for a study's own faces, asked for of extra ones, equal either way."""

from dataclasses import replace

import pytest
import torch
from real_faces import astronaut_faces
from stand_ins import small_roles

from trainables.gan.data import TrainingFaces, draw_samples
from trainables.gan.references import references
from veil.faces.table import tensor_to_images


@pytest.fixture(scope="module")
def faces():
    batch = astronaut_faces(5)
    return TrainingFaces(tensor_to_images(batch.images), batch.landmarks.numpy(), key="all own")


def test_extra_faces_get_what_they_would_as_own(faces, tmp_path):
    roles = small_roles("cpu")
    stored = references(faces, roles.proxies, roles.teacher, "cpu", tmp_path)
    mixed = references(replace(faces, extra=3, key="some extra"), roles.proxies, roles.teacher, "cpu", tmp_path)
    assert (len(stored.teacher_outputs), len(mixed.teacher_outputs)) == (5, 2)
    samples = draw_samples(0, 0, 12, faces=2, extra=3, extra_share=0.5)
    assert samples.mirrored.any() and not samples.mirrored.all()
    for known, asked in zip(flat(stored.of(samples)), flat(mixed.of(samples)), strict=True):
        torch.testing.assert_close(known, asked)


def flat(seen):
    return [*seen.embeddings, seen.teacher]
