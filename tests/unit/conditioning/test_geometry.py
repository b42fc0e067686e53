"""Polylines, hull and mirror images of landmarks."""

import numpy as np
import pytest
import torch
from real_faces import astronaut_faces

from trainables.conditioning.geometry import MIRRORED, draw_polylines, face_mask, mirror_faces, mirror_landmarks
from veil.errors import DataError
from veil.faces.parsing import MIRRORED_PARTS


@pytest.fixture(scope="module")
def faces():
    return astronaut_faces(3)


def test_mirrored_is_an_involution_that_swaps_sides():
    assert [MIRRORED[MIRRORED[i]] for i in range(68)] == list(range(68))
    # Chin, nose bridge, nose tip, middle of the lips stay; brows, eyes and mouth corners swap.
    assert [i for i in range(68) if MIRRORED[i] == i] == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
    assert {17: 26, 36: 45, 39: 42, 48: 54, 60: 64, 0: 16}.items() <= dict(enumerate(MIRRORED)).items()


def test_mirroring_keeps_the_sides_order(faces):
    mirrored = mirror_landmarks(faces.landmarks, 112)
    assert (mirrored[:, 36, 0] < mirrored[:, 45, 0]).all(), "the right eye is on the left of the image"
    torch.testing.assert_close(mirror_landmarks(mirrored, 112), faces.landmarks)


def test_mirror_faces_flips_pixels_and_signals_alike(faces):
    mirrored = mirror_faces(faces)
    assert torch.equal(mirrored.images, faces.images.flip(-1))
    assert torch.equal(mirrored.landmarks, mirror_landmarks(faces.landmarks, 112))
    np.testing.assert_array_equal(mirrored.parsing, MIRRORED_PARTS[faces.parsing.numpy()[:, :, ::-1]])
    torch.testing.assert_close(mirrored.pose, faces.pose * torch.tensor([-1, 1, -1]))


def test_polylines_pass_through_the_landmarks(faces):
    lines = draw_polylines(faces)
    for face in range(3):
        points = faces.landmarks[face].round().long().clamp(0, 111)
        inside = (faces.landmarks[face] < 111).all(dim=1)
        near = torch.nn.functional.max_pool2d(lines[face], 3, 1, 1)[0]
        assert (near[points[inside, 1], points[inside, 0]] > 0).all()
    assert 0.02 < (lines > 0).float().mean() < 0.12, "lines, not areas"


def test_mask_covers_the_landmarks_and_the_forehead_and_leaves_the_corners(faces):
    inside = face_mask(faces)[:, 0] > 0
    for face in range(3):
        inner = faces.landmarks[face, 17:].round().long()
        assert inside[face, inner[:, 1], inner[:, 0]].all()
        brows = faces.landmarks[face, 17:27].mean(0).round().long()
        assert inside[face, brows[1] - 15, brows[0]]
        assert not inside[face, [0, 0, 111, 111], [0, 111, 0, 111]].any()


def test_no_pixel_of_the_face_gets_through_the_mask(faces):
    from trainables.conditioning.masked import Masked

    inside = face_mask(faces) > -1
    changed = faces._replace(images=torch.where(inside, -faces.images, faces.images))
    assert torch.equal(Masked()(changed), Masked()(faces))


def test_a_face_without_landmarks_is_an_error_and_not_an_empty_drawing(faces):
    landmarks = faces.landmarks.clone()
    landmarks[1] = np.nan
    with pytest.raises(DataError, match="1 of 3 faces have no landmarks"):
        draw_polylines(faces._replace(landmarks=landmarks))
