"""Framing for the detector, the way back, and YuNet on true faces."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veil.assets import fetch
from veil.errors import AssetError
from veil.faces.contract import CropContract
from veil.faces.detection import Detection, detect_faces
from veil.faces.framing import Framing
from veil.faces.images import decode_image
from veil.registry import datasets, detectors


class BlobDetector:
    """Finds the bright blob of an image: the simplest detector whose answer is known."""

    name = "blob"
    asset_sha256 = "0" * 64
    settings: dict[str, Any] = {}

    def __call__(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Return one detection whose box starts, and whose landmarks lie, at the blob's centre."""
        return [self._detect(image) for image in images]

    def _detect(self, image: np.ndarray) -> list[Detection]:
        weights = image[..., 0].astype(np.float64)
        ys, xs = np.mgrid[: image.shape[0], : image.shape[1]]
        centre = np.array([(xs * weights).sum(), (ys * weights).sum()]) / weights.sum()
        return [Detection(1.0, np.array([*centre, 10.0, 20.0]), np.tile(centre, (5, 1)))]


@given(width=st.integers(20, 400), height=st.integers(20, 400), border=st.integers(0, 50), data=st.data())
def test_points_are_mapped_back(width: int, height: int, border: int, data: st.DataObject) -> None:
    x = data.draw(st.integers(8, width - 9))
    y = data.draw(st.integers(8, height - 9))
    image = np.zeros((height, width, 3), np.uint8)
    cv2.circle(image, (x, y), 5, (255, 255, 255), -1)
    framing = Framing(min_side=100, max_side=300, border=border)
    ((face,),) = detect_faces(BlobDetector(), [image], framing)
    np.testing.assert_allclose(face.landmarks5, np.tile([x, y], (5, 1)), atol=0.3)
    np.testing.assert_allclose(face.box[:2], [x, y], atol=0.3)
    scale = framing.scale(height, width)
    np.testing.assert_allclose(face.box[2:] * scale, [10, 20], rtol=0.08)


@given(width=st.integers(1, 5000), height=st.integers(1, 5000))
def test_framed_size(width: int, height: int) -> None:
    scale = Framing().scale(height, width)
    assert max(width, height) * scale <= 640 + 1e-6
    assert min(width, height) * scale >= 230 - 1e-6 or max(width, height) * scale >= 640 - 1e-6
    if min(width, height) >= 230 and max(width, height) <= 640:
        assert scale == 1


def test_largest_face_comes_first() -> None:
    def detector(images: Sequence[np.ndarray]) -> list[list[Detection]]:
        points = np.zeros((5, 2), np.float32)
        boxes = [(0.99, 20.0), (0.7, 50.0), (0.8, 50.0)]
        found = [Detection(score, np.array([0, 0, side, side], np.float32), points) for score, side in boxes]
        return [found for _ in images]

    (faces,) = detect_faces(detector, [np.zeros((300, 300, 3), np.uint8)], Framing())  # type: ignore[arg-type]
    assert [face.score for face in faces] == [0.8, 0.7, 0.99]


def test_contract_hash_covers_every_setting() -> None:
    blob = BlobDetector()
    contract = CropContract.of(blob, blob, blob)
    assert CropContract.of(blob, blob, blob).hash == contract.hash
    other = BlobDetector()
    other.settings = {"score_threshold": 0.5}
    assert CropContract.of(other, blob, blob).hash != contract.hash
    other = BlobDetector()
    other.asset_sha256 = "1" * 64
    changed = [CropContract.of(*tools) for tools in ((other, blob, blob), (blob, other, blob), (blob, blob, other))]
    longer = CropContract("blob", "0" * 64, {}, "blob", "0" * 64, framing=Framing(border=41))
    assert len({contract.hash, longer.hash, *(one.hash for one in changed)}) == 5


@pytest.mark.data
def test_yunet_finds_true_faces_and_no_false_ones() -> None:
    try:
        fetch("yunet")
        fetch("orl_faces")
    except AssetError as error:
        pytest.skip(str(error))
    detector = detectors.get("yunet")()
    assert detector([np.zeros((240, 240, 3), np.uint8)]) == [[]]
    for image in datasets.get("orl")(None).images[::40]:
        pixels = decode_image(image.read())
        ((face,),) = detect_faces(detector, [pixels], Framing())
        eyes, nose, mouth = face.landmarks5[:2], face.landmarks5[2], face.landmarks5[3:]
        assert eyes[0, 0] < eyes[1, 0], "the eye on the left of the image comes first"
        assert mouth[0, 0] < mouth[1, 0]
        assert eyes[:, 1].mean() < nose[1] < mouth[:, 1].mean()
        x, y, width, height = face.box
        assert (face.landmarks5 > [x, y]).all()
        assert (face.landmarks5 < [x + width, y + height]).all()
