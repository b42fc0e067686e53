"""Rows of images: what is measured, and what is said of files and faces that cannot be."""

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from orl_crops import require_assets
from PIL import Image

from veil.datasets.dataset import Skipped, SourceImage
from veil.datasets.files import FileBytes
from veil.faces.prepare import FIVE_AMONG_68, Preparation, landmark_distance
from veil.faces.rows import FaceRow
from veil.interfaces import FACE_PARTS
from veil.registry import datasets


@pytest.fixture(scope="module")
def preparation() -> Preparation:
    require_assets("orl_faces", "yunet", "face_api_landmark_68_bin", "face_api_landmark_68_manifest")
    return Preparation.load("yunet", "polygons")


def source(name: str, content: bytes) -> SourceImage:
    return SourceImage(name, "ann", f"/faces/{name}", lambda: content)


def encoded(pixels: np.ndarray, extension: str = ".png") -> bytes:
    return cv2.imencode(extension, pixels)[1].tobytes()


@pytest.mark.data
def test_true_faces_are_measured(preparation: Preparation) -> None:
    images = datasets.get("orl")(None).images[::25]
    rows = list(preparation.rows((image, "train") for image in images))
    assert [row.image_id for row in rows if isinstance(row, FaceRow)] == [image.image_id for image in images]
    for row in rows:
        assert isinstance(row, FaceRow)
        assert row.landmarks68 is not None and row.landmarks5 is not None and row.source_scale is not None
        assert not row.missing, row
        assert landmark_distance(row.landmarks68, row.landmarks5) < 12
        assert row.parsing is not None and {1, 4, 5, 6} <= set(np.unique(row.parsing))
        assert row.pose is not None and np.abs(row.pose).max() < 45
        # ORL's photographs are 92 pixels wide and mostly face.
        assert 0.7 < row.source_scale < 2
        left, right = (row.landmarks68[list(places)].mean(axis=0) for places in FIVE_AMONG_68[:2])
        assert left[0] < right[0]


@pytest.mark.data
def test_rows_do_not_depend_on_their_neighbours(preparation: Preparation, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [(image, "train") for image in datasets.get("orl")(None).images[:6]]
    images[2:2] = [
        (source("bad.jpg", b"text"), "train"),
        (source("black.png", encoded(np.zeros((90, 80, 3)))), "search"),
    ]
    together = list(preparation.rows(images))
    alone = [row for pair in images for row in preparation.rows([pair])]
    # As with images too large to be held together.
    monkeypatch.setattr("veil.faces.prepare._BATCH_BYTES", 1)
    apart = list(preparation.rows(images))
    assert together[2] == alone[2] == Skipped("/faces/bad.jpg", "not an image")
    for rows in (alone, apart):
        for row, other in zip(together, rows, strict=True):
            assert type(row) is type(other)
            if isinstance(row, FaceRow) and isinstance(other, FaceRow):
                assert (row.image_id, row.split, row.missing) == (other.image_id, other.split, other.missing)
                if row.crop is not None:
                    np.testing.assert_array_equal(row.crop, other.crop)
                    np.testing.assert_allclose(row.landmarks68, other.landmarks68, atol=1e-3)
    black = together[3]
    assert isinstance(black, FaceRow)
    assert (black.crop, dict(black.missing)) == (None, {"crop": "no face found"})


@pytest.mark.data
def test_files_that_cannot_be_used_say_why(preparation: Preparation, tmp_path: Path) -> None:
    jpeg = encoded(np.full((60, 50, 3), 90, np.uint8), ".jpg")
    absent = SourceImage("absent", "ann", "/faces/absent", FileBytes(str(tmp_path / "absent.png")))
    animation = io.BytesIO()
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("black", "white")]
    frames[0].save(animation, "GIF", save_all=True, append_images=frames[1:])
    images = [source("cut.jpg", jpeg[: len(jpeg) // 2]), source("empty.png", b""), absent]
    found = list(preparation.rows((image, "train") for image in [*images, source("moving.gif", animation.getvalue())]))
    assert found[:3] == [
        Skipped("/faces/cut.jpg", "damaged or cut off"),
        Skipped("/faces/empty.png", "empty file"),
        Skipped("/faces/absent", "cannot be read: No such file or directory"),
    ]
    assert isinstance(found[3], FaceRow), "the first picture of an animation is a picture"


@pytest.mark.data
def test_maps_of_the_dataset_are_warped_or_missing_with_a_reason(preparation: Preparation) -> None:
    image = datasets.get("orl")(None).images[0]
    skin, nose = FACE_PARTS.index("skin"), FACE_PARTS.index("nose")
    halves = np.array([[skin, nose], [skin, nose]], np.uint8)

    def damaged() -> np.ndarray:
        raise OSError("00001_skin.png: damaged or cut off")

    reading = Preparation.load("yunet", "dataset")
    images = [replace(image, read_parsing=lambda: halves), replace(image, read_parsing=damaged), image]
    warped, unreadable, without = reading.rows((one, "train") for one in images)
    assert isinstance(warped, FaceRow) and isinstance(unreadable, FaceRow) and isinstance(without, FaceRow)
    assert warped.parsing is not None
    across = warped.parsing[56][warped.parsing[56] > 0]
    assert set(across) == {skin, nose} and (np.diff(across.astype(int)) >= 0).all(), "left half, then right half"
    assert "parsing" not in warped.missing
    assert (unreadable.parsing, without.parsing) == (None, None)
    assert "00001_skin.png: damaged" in unreadable.missing["parsing"]
    assert without.missing["parsing"] == reading.parser.failure
    assert reading.contract.hash != preparation.contract.hash


def test_landmark_distance_by_hand() -> None:
    points = np.zeros((68, 2))
    points[36:42], points[42:48], points[30], points[48], points[54] = (1, 1), (9, 1), (5, 5), (2, 9), (8, 9)
    five = np.array([[1, 1], [9, 1], [5, 5], [2, 9], [8, 9]], float)
    assert landmark_distance(points, five) == 0
    assert landmark_distance(points, five + np.array([3, 4])) == 5
    points[0] = np.nan
    assert np.isnan(landmark_distance(points, five))
