"""Blending: what must not change does not, and what must go is gone."""

import cv2
import numpy as np
import pytest

from veil.anonymizing.blending import blackout_box, blend, crop_box
from veil.faces.align import align_face


def _matrix(scale, angle, centre):
    """Alignment of a face of 112 / scale pixels around `centre` to the crop."""
    matrix = cv2.getRotationMatrix2D(centre, angle, scale)
    matrix[:, 2] += 55.5 - np.asarray(centre)
    return matrix


def _noise(height=200, width=300):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _inside(matrix, shape):
    """Pixels that the crop shows, by the definition of the alignment and nothing else."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    along, down = (row[0] * x + row[1] * y + row[2] for row in matrix)
    return (along >= -0.5) & (along < 111.5) & (down >= -0.5) & (down < 111.5)


@pytest.mark.parametrize(
    ("scale", "angle", "centre"),
    [(1.0, 0, (150, 100)), (0.6, 25, (140, 95)), (4.0, -40, (60, 60)), (1.0, 10, (4, 3)), (1.0, 0, (299, 199))],
)
def test_only_what_the_crop_shows_changes_and_its_middle_is_the_new_face(scale, angle, centre):
    image, matrix = _noise(), _matrix(scale, angle, centre)
    crop = np.zeros((3, 112, 112), np.uint8)
    crop[:] = np.array([10, 200, 90])[:, None, None]
    before = image.copy()
    blended = blend(image, [crop], [matrix])
    assert np.array_equal(image, before)
    inside = _inside(matrix, image.shape)
    assert np.array_equal(blended[~inside], image[~inside])
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    near = np.hypot(x - centre[0], y - centre[1]) < 40 / scale
    assert near.any()
    assert (blended[near] == [90, 200, 10]).all()  # BGR
    assert crop_box(matrix, image.shape[:2]).slices[0].stop <= image.shape[0]


def test_a_crop_lies_where_it_was_cut_from():
    image = cv2.GaussianBlur(_noise(), (0, 0), 3)
    matrix = _matrix(1.3, 20, (150.3, 99.6))
    crop = align_face(image, matrix)
    blended = blend(np.zeros_like(image), [crop], [matrix])
    middle = np.hypot(*(np.mgrid[:200, :300] - np.array([99.6, 150.3])[:, None, None])) < 30
    assert np.abs(blended[middle].astype(int) - image[middle]).mean() < 1.0


def test_overlapping_faces_keep_their_own_middles():
    """A crop that shows its neighbour, as a model that sees the surroundings may leave it, must not bring it back."""
    image = np.full((200, 300, 3), 128, np.uint8)
    matrices = [_matrix(1.0, 0, (120, 100)), _matrix(1.0, 0, (170, 100))]
    white, black = np.full((3, 112, 112), 255, np.uint8), np.zeros((3, 112, 112), np.uint8)
    for order in ([0, 1], [1, 0]):
        crops = [white, black]
        blended = blend(image, [crops[i] for i in order], [matrices[i] for i in order])
        assert (blended[60:140, 90:144] == 255).all()
        assert (blended[60:140, 147:200] == 0).all()


def test_blackout_covers_the_enlarged_box_and_the_whole_crop():
    face, matrix = np.array([100.0, 60.0, 40.0, 50.0]), _matrix(1.0, 0, (150, 100))
    alone = blackout_box(face, None, (200, 300))
    assert (alone.left, alone.top) == (88, 45) and alone.right >= 152 and alone.bottom >= 125
    both = blackout_box(face, matrix, (200, 300))
    assert both.left <= 88 and both.right >= 206 and both.top <= 44 and both.bottom >= 156
    assert blackout_box(np.array([-30.0, -30.0, 500.0, 500.0]), None, (200, 300)) == (0, 0, 300, 200)
