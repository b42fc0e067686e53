"""Labelled faces of an expression dataset, read into arrays."""

import cv2
import numpy as np
import pytest

from trainables.fer.faces import read_parts
from veil.datasets.dataset import Dataset, SourceImage
from veil.errors import DataError
from veil.interfaces import EXPRESSIONS


def image(number, split, content=None, expression="sad", votes=None, size=(48, 48)):
    pixels = np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8)
    content = cv2.imencode(".png", pixels)[1].tobytes() if content is None else content
    return SourceImage(f"{number}", None, f"{number}.png", lambda: content, expression, votes, split)


def dataset(*images):
    return Dataset("faces", tuple(images), "fingerprint")


COMPLETE = (image(0, "train"), image(1, "search"), image(2, "sealed", expression="happy"))


def test_parts_keep_pixels_and_labels():
    parts = read_parts(dataset(*COMPLETE, image(3, "train", expression="angry", size=(96, 96))), "hard")
    assert {part: len(faces) for part, faces in parts.items()} == {"train": 2, "search": 1, "sealed": 1}
    expected = np.random.default_rng(1).integers(0, 256, (48, 48), dtype=np.uint8)
    np.testing.assert_array_equal(parts["search"].images[0], expected)
    assert parts["train"].images.shape == (2, 48, 48)
    assert [EXPRESSIONS[label] for label in parts["train"].labels] == ["sad", "angry"]
    assert parts["train"].sha256 != parts["search"].sha256


def test_votes_become_targets():
    votes = (0.0, 0.1, 0.2, 0.0, 0.7, 0.0, 0.0)
    parts = read_parts(
        dataset(*(image(n, part, votes=votes) for n, part in enumerate(("train", "search", "sealed")))), "votes"
    )
    np.testing.assert_allclose(parts["train"].targets, [votes], rtol=1e-6)
    assert parts["train"].labels.tolist() == [4]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (COMPLETE[:2], "hard", r"faces has no images in its parts sealed"),
        ((*COMPLETE, image(3, None)), "hard", r"3\.png belongs to no published part, expected a dataset such as"),
        ((*COMPLETE, image(3, "train", expression=None)), "hard", r"3\.png has no label"),
        (COMPLETE, "votes", r"0\.png has no votes; set labels=hard"),
        ((*COMPLETE, image(3, "train", content=b"text")), "hard", r"3\.png cannot be read \(not an image\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_refused(images, labels, message):
    with pytest.raises(DataError, match=message):
        read_parts(dataset(*images), labels)
