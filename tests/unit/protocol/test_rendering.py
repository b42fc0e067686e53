"""What an anonymizer may return, and equal bytes for equal images."""

import numpy as np
import pytest
import torch
from attack_sets import PatternRecognizer, pattern_faces

from veil.errors import ProtocolError
from veil.protocol.rendering import equal_batches, net_outputs, render


@pytest.fixture(scope="module")
def faces():
    return pattern_faces({"search": 3}, images=3)


def test_an_anonymizer_that_does_nothing_returns_the_crops(faces):
    np.testing.assert_array_equal(render(lambda batch: batch.images, faces, 4, "cpu"), faces.crops)


def test_all_batches_have_one_size_and_cover_everything(faces):
    sizes = []

    def spy(batch):
        sizes.append(len(batch.images))
        return batch.images

    render(spy, faces, 4, "cpu")
    assert set(sizes) == {4}
    for count, size in [(9, 4), (8, 4), (3, 16), (1, 1), (0, 4)]:
        covered = np.concatenate([*equal_batches(count, size), np.empty(0, int)])
        assert set(covered) == set(range(count))


def test_faces_that_lack_what_the_anonymizer_needs_are_refused_and_counted(faces):
    class Needy:
        needs = frozenset({"pose", "landmarks68"})

        def __call__(self, batch):
            return batch.images

    with pytest.raises(ProtocolError, match=r"of 9 faces \(search\) 9 have no head pose, which it needs; change 'data"):
        render(Needy(), faces, 4, "cpu")
    Needy.needs = frozenset({"landmarks68"})
    np.testing.assert_array_equal(render(Needy(), faces, 4, "cpu"), faces.crops)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda batch: batch.images * float("nan"), "not finite"),
        (lambda batch: batch.images * 0 + 1.01, r"\[1.010, 1.010\]"),
        (lambda batch: batch.images[:, :1], r"\(4, 1, 112, 112\)"),
        (lambda batch: batch.images[:2], r"\(2, 3, 112, 112\)"),
        (lambda batch: (batch.images * 255).to(torch.uint8), "uint8"),
        (lambda batch: batch.images.numpy(), "ndarray"),
        (lambda batch: None, "NoneType"),
    ],
)
def test_an_output_that_is_no_image_is_refused(faces, broken, message):
    with pytest.raises(ProtocolError, match=message):
        render(broken, faces, 4, "cpu")


def test_rounding_beyond_the_range_is_tolerated_and_clipped(faces):
    rendered = render(lambda batch: torch.full_like(batch.images, 1.0005), faces, 4, "cpu")
    assert rendered.min() == 255


def test_equal_images_get_exactly_equal_outputs_whatever_the_batch(faces):
    calls = []
    net = PatternRecognizer()

    def noisy(images):
        calls.append(len(images))
        return net(images) + 1e-7 * torch.randn(len(images), net.embedding_size)

    images = np.concatenate([np.zeros_like(faces.crops), faces.crops[:1], np.zeros_like(faces.crops[:2])])
    outputs = net_outputs(noisy, images, 4, "cpu")
    assert calls == [2]
    assert np.unique(outputs[[0, 3, -1]], axis=0).shape[0] == 1
    assert not np.array_equal(outputs[0], outputs[9])
