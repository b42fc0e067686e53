"""Scales, tiles and the way back: known squares are found once each, wherever they lie and however large they are."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veil.faces.detection import Detection, detect_faces
from veil.faces.framing import Framing, make_views

SMALL = Framing(min_side=40, max_side=64, border=4, finest_scale=0.5, smallest_face=4, overlap=16)
"""The default framing at a tenth of its size."""


class BlobDetector:
    """Finds bright blobs between 3 pixels and most of the view: the simplest detector whose answers are known."""

    name = "blob"
    asset_sha256 = "0" * 64
    settings: dict[str, Any] = {}

    def __call__(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Return boxes of blobs, their corners and centre as landmarks, and their size as score."""
        return [self._detect(image) for image in images]

    def _detect(self, image: np.ndarray) -> list[Detection]:
        _, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 127).astype(np.uint8))
        return [
            Detection(
                0.5 + 0.4 * float(np.sqrt(width * height)) / max(image.shape),
                np.array([x, y, width, height], np.float32),
                np.array([x, y], np.float32)
                + np.float32([[0, 0], [1, 0], [0.5, 0.5], [0, 1], [1, 1]]) * [width, height],
            )
            for x, y, width, height, _ in stats[1:]
            if min(width, height) >= 3 and max(width, height) < 0.9 * max(image.shape)
        ]


@given(width=st.integers(20, 400), height=st.integers(20, 400), border=st.integers(0, 50), data=st.data())
def test_points_are_mapped_back(width: int, height: int, border: int, data: st.DataObject) -> None:
    x = data.draw(st.integers(8, width - 9))
    y = data.draw(st.integers(8, height - 9))
    image = np.zeros((height, width, 3), np.uint8)
    cv2.circle(image, (x, y), 5, (255, 255, 255), -1)
    framing = Framing(min_side=100, max_side=300, border=border, finest_scale=0.1)
    (view,) = make_views(image, framing)
    weights = view.pixels[..., 0].astype(np.float64)
    ys, xs = np.mgrid[: weights.shape[0], : weights.shape[1]]
    centre = np.array([(xs * weights).sum(), (ys * weights).sum()]) / weights.sum()
    np.testing.assert_allclose(view.map_back(centre), [x, y], atol=0.3)


@given(width=st.integers(1, 5000), height=st.integers(1, 5000))
def test_framed_size(width: int, height: int) -> None:
    scale = Framing().scale(height, width)
    assert max(width, height) * scale <= 640 + 1e-6
    assert min(width, height) * scale >= 230 - 1e-6 or max(width, height) * scale >= 640 - 1e-6
    if min(width, height) >= 230 and max(width, height) <= 640:
        assert scale == 1
    if max(width, height) <= 1280:
        assert Framing().tiled_scales(height, width) == [], "an ordinary image is looked at once"


@given(width=st.integers(1, 900), height=st.integers(1, 900), data=st.data())
def test_every_face_lies_whole_and_large_enough_in_a_view(width: int, height: int, data: st.DataObject) -> None:
    views = make_views(np.zeros((height, width, 3), np.uint8), SMALL)
    side = data.draw(st.integers(1, min(width, height)))
    corner = [data.draw(st.integers(0, length - side)) for length in (width, height)]
    for view in views:
        # The inverse of map_back for the box's edges, which lie half a pixel outside the centres of its pixels.
        x, y = np.array(corner) / view.factors - view.origin
        framed = np.array([x, y, *(side / view.factors)])
        inside = framed[0] >= 0 and framed[1] >= 0
        inside &= framed[0] + framed[2] <= view.pixels.shape[1] and framed[1] + framed[3] <= view.pixels.shape[0]
        if inside and view.shows_whole(framed) and framed[2:].min() >= 0.98 * SMALL.smallest_face:
            return
    # Only what is too small at the finest scale may be missed.
    assert side * max(SMALL.scale(height, width), SMALL.finest_scale) < 1.1 * SMALL.smallest_face


@pytest.mark.parametrize(("width", "height"), [(600, 400), (2000, 130), (110, 1500), (64, 64), (130, 128)])
def test_each_of_several_faces_is_found_once(width: int, height: int) -> None:
    rng = np.random.default_rng(width)
    image = np.zeros((height, width, 3), np.uint8)
    expected: list[tuple[int, int, int]] = []
    # So that no two melt into one where the whole image is looked at, and none into its border.
    gap = int(3 / SMALL.scale(height, width))
    margin = gap // 2
    for _ in range(300):
        side = int(np.exp(rng.uniform(np.log(16), np.log(min(width, height) - 2 * margin))))
        x, y = (int(rng.integers(margin, length - side - margin + 1)) for length in (width, height))
        around = image[max(0, y - gap) : y + side + gap, max(0, x - gap) : x + side + gap]
        if not around.any():
            image[y : y + side, x : x + side] = 255
            expected.append((x, y, side))
    (found,) = detect_faces(BlobDetector(), [image], SMALL)
    assert len(found) == len(expected) > 0
    # Resizing and the threshold of the blobs move an edge by a pixel of the coarsest view that can have found it.
    for face in found:
        errors = [np.abs(face.box - [x, y, side, side]).max() / side for x, y, side in expected]
        x, y, side = expected.pop(int(np.argmin(errors)))
        assert min(errors) < 0.35
        np.testing.assert_allclose(face.landmarks5[2], [x + side / 2 - 0.5, y + side / 2 - 0.5], atol=0.2 * side)
    areas = [float(face.box[2] * face.box[3]) for face in found]
    assert areas == sorted(areas, reverse=True)


def test_images_of_a_batch_do_not_mix() -> None:
    rng = np.random.default_rng(0)
    images = []
    for height, width in [(30, 50), (300, 500), (64, 64), (1, 1), (700, 20)]:
        image = np.zeros((height, width, 3), np.uint8)
        x, y = rng.integers(0, width // 2 + 1), rng.integers(0, height // 2 + 1)
        image[y : y + height // 4, x : x + width // 4] = 255
        images.append(image)
    together = detect_faces(BlobDetector(), images, SMALL)
    for image, faces in zip(images, together, strict=True):
        (alone,) = detect_faces(BlobDetector(), [image], SMALL)
        assert [face.box.tolist() for face in faces] == [face.box.tolist() for face in alone]
    assert detect_faces(BlobDetector(), [], SMALL) == []


def test_largest_face_comes_first() -> None:
    def detector(images: Sequence[np.ndarray]) -> list[list[Detection]]:
        points = np.zeros((5, 2), np.float32)
        boxes = [(0.99, 20.0), (0.7, 50.0), (0.8, 50.0)]
        return [[Detection(score, np.array([0, 0, side, side], np.float32), points) for score, side in boxes]]

    (faces,) = detect_faces(detector, [np.zeros((300, 300, 3), np.uint8)], Framing())  # type: ignore[arg-type]
    assert [face.score for face in faces] == [0.8, 0.7, 0.99]
