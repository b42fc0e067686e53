"""Alignment to the five-point template."""

import math
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veil.faces.align import ARCFACE_TEMPLATE, align_face, apply_similarity, estimate_similarity

angles = st.floats(-math.pi, math.pi)
scales = st.floats(0.1, 20)
shifts = st.floats(-2000, 2000)


def similarity(angle: float, scale: float, x: float, y: float) -> np.ndarray:
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[cos, -sin, x], [sin, cos, y]])


@given(angle=angles, scale=scales, x=shifts, y=shifts)
def test_recovers_any_similarity(angle: float, scale: float, x: float, y: float) -> None:
    placed = ARCFACE_TEMPLATE.astype(np.float64) @ similarity(angle, scale, x, y)[:, :2].T + [x, y]
    matrix = estimate_similarity(placed)
    assert matrix is not None
    np.testing.assert_allclose(apply_similarity(matrix, placed), ARCFACE_TEMPLATE, atol=1e-3)


@given(seed=st.integers(0, 2**31), noise=st.floats(0, 5))
def test_least_squares_against_normal_equations(seed: int, noise: float) -> None:
    """With x' = a·x − b·y + c and y' = b·x + a·y + d the problem is linear: an independent solution."""
    generator = np.random.default_rng(seed)
    points = ARCFACE_TEMPLATE * 2.0 + 30.0 + generator.normal(0, noise, (5, 2))
    rows = []
    for x, y in points:
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
    a, b, c, d = np.linalg.lstsq(np.array(rows), ARCFACE_TEMPLATE.astype(np.float64).ravel(), rcond=None)[0]
    np.testing.assert_allclose(estimate_similarity(points), [[a, -b, c], [b, a, d]], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((5, 2), np.nan)])
def test_points_without_extent_have_no_alignment(points: np.ndarray) -> None:
    assert estimate_similarity(points) is None


def test_marked_points_arrive_at_the_template() -> None:
    """A dot drawn at each landmark of a turned, shifted image lies at the template's place in the crop."""
    placed = ARCFACE_TEMPLATE.astype(np.float64) @ similarity(0.3, 2.5, 0, 0)[:, :2].T + [150, 40]
    matrix = estimate_similarity(placed)
    assert matrix is not None
    for index in range(5):
        image = np.zeros((400, 500, 3), np.uint8)
        cv2.circle(image, tuple(int(v) for v in np.rint(placed[index] * 16)), 4 * 16, (255, 255, 255), -1, shift=4)
        crop = align_face(image, matrix)[0].astype(np.float64)
        ys, xs = np.mgrid[:112, :112]
        centre = np.array([(xs * crop).sum(), (ys * crop).sum()]) / crop.sum()
        np.testing.assert_allclose(centre, ARCFACE_TEMPLATE[index], atol=0.15)


def test_channels_are_rgb_and_edges_repeat() -> None:
    image: Any = np.zeros((112, 112, 3), np.uint8)
    image[..., 0] = 200  # blue, in OpenCV's order
    crop = align_face(image, np.array([[1.0, 0, 50], [0, 1, 50]]))
    assert crop.shape == (3, 112, 112)
    assert crop.dtype == np.uint8
    assert (crop[2] == 200).all()
    assert not crop[:2].any()
