"""The face of an anonymized photograph is cut where it lies in the original, whatever its size."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veil.errors import DataError
from veil.faces.align import align_face
from veil.faces.transfer import Frame, cut_published, transfer_alignment

sides = st.integers(20, 2000)


@given(width=sides, height=sides, left=st.integers(-50, 50), top=st.integers(-50, 50), size=st.tuples(sides, sides),
       seed=st.integers(0, 99))  # fmt: skip
def test_alignment_maps_the_same_place_of_both_photographs_to_the_same_crop_pixel(width, height, left, top, size, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(2, 3))
    fraction = rng.uniform(size=2)  # a place in the frame, from edge to edge
    pixel = np.append(fraction * (width, height) + (left, top) - 0.5, 1.0)
    other = np.append(fraction * size - 0.5, 1.0)
    moved = transfer_alignment(matrix, Frame(left, top, left + width, top + height), size)
    np.testing.assert_allclose(moved @ other, matrix @ pixel, atol=1e-6 * max(height, width))


def scene(height=300, width=240):
    """A smooth picture, so that resizing changes it little."""
    noise = np.random.default_rng(0).uniform(0, 255, (12, 10, 3)).astype(np.float32)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


MATRIX = np.array([[0.5, 0.1, -10.0], [-0.1, 0.5, -5.0]])


def difference(crop):
    """Mean difference from the crop of the scene itself, and from one that is cut a pixel beside it."""
    apart = [
        np.abs(crop.astype(int) - align_face(scene(), MATRIX + np.array([[0, 0, x], [0, 0, 0]]))).mean() for x in (0, 1)
    ]
    return apart[0], apart[1]


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7, 5.0])
def test_crop_of_a_resized_copy_equals_the_crop(tmp_path, factor):
    size = round(240 * factor), round(300 * factor)
    path = tmp_path / "copy.png"
    cv2.imwrite(str(path), cv2.resize(scene(), size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC))
    here, beside = difference(cut_published(path, tmp_path / "clear.png", (240, 300), MATRIX))
    assert here < (0.01 if factor == 1.0 else 2.0)
    assert beside > 2 * here


@pytest.mark.parametrize("size", [(80, 80), (150, 140), (512, 512)])
def test_crop_of_a_part_that_another_shape_shows(tmp_path, size):
    """As a tool does that squeezes what it cut out into a square."""
    frame = Frame(10, 0, 230, 290)
    part = scene()[0:290, 10:230]
    path = tmp_path / "part.png"
    cv2.imwrite(str(path), cv2.resize(part, size, interpolation=cv2.INTER_AREA))
    here, beside = difference(cut_published(path, tmp_path / "clear.png", (240, 300), MATRIX, frame))
    assert here < 2.0 and beside > 2 * here


def test_all_pixels_of_a_large_copy_count(tmp_path):
    """Fine stripes that a crop of every fifth pixel would show as black or white."""
    stripes = np.zeros((300, 240, 3), np.uint8)
    stripes[:, ::2] = 255
    path = tmp_path / "stripes.png"
    cv2.imwrite(str(path), stripes)
    crop = cut_published(path, path, (24, 30), np.array([[4.0, 0.0, 8.0], [0.0, 4.0, 0.0]]))
    assert np.abs(crop.astype(int) - 127.5).max() <= 1


def test_another_aspect_ratio_is_refused(tmp_path):
    path = tmp_path / "cropped.png"
    cv2.imwrite(str(path), scene()[:200])
    with pytest.raises(DataError, match=r"240×200 pixels, its original .*clear.png 240×300"):
        cut_published(path, tmp_path / "clear.png", (240, 300), np.eye(2, 3))


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty file"), (b"no image", "not an image"), (None, "No such")])
def test_a_file_that_is_no_image(tmp_path, content, reason):
    path = tmp_path / "broken.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"broken.png cannot be read as an image \({reason}"):
        cut_published(path, path, (240, 300), np.eye(2, 3))
