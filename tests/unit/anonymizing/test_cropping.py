"""The crop contract of a model is kept or refused; with the real nets on a real face."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from skimage import data

from veil.anonymizing.cropping import Cropper
from veil.anonymizing.faces import FaceAnonymizer
from veil.assets import fetch
from veil.errors import AssetError, ProtocolError
from veil.faces.prepare import Preparation

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def metadata():
    try:
        for asset in ("yunet", "face_api_landmark_68_bin", "face_api_landmark_68_manifest"):
            fetch(asset)
    except AssetError as error:
        pytest.skip(str(error))
    contract = Preparation.load("yunet", "polygons").contract
    return {
        "contract": json.loads(contract.to_json()),
        "crop_contract": contract.hash,
        "needs": ["landmarks68", "pose"],
    }


def test_a_model_of_the_same_contract_sees_the_same_crops_and_a_face_without_signals_is_black(metadata):
    photo = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    seen = []

    def predict(crops, identity_seed=None):
        seen.append(crops)
        return 255 - crops

    cropper = Cropper.for_model(metadata, "cpu")
    anonymizer = FaceAnonymizer(SimpleNamespace(predict=predict, metadata=metadata), cropper)
    _, (face,) = anonymizer.anonymize(photo)
    assert face.treatment == "anonymized" and face.box.holds(222, 120)
    preparation = Preparation(cropper.detector, cropper.landmarker, cropper.parser, cropper.contract)
    content = cv2.imencode(".png", photo)[1].tobytes()
    source = SimpleNamespace(
        image_id="a", path="a.png", identity=None, expression=None, label_distribution=None, read_parsing=None,
        read=lambda: content,
    )  # fmt: skip
    (row,) = preparation.rows([(source, "train")])
    assert np.array_equal(seen[0][0].transpose(2, 0, 1), row.crop)
    # The same eyes and mouth a crop's width apart: the five points are found, the 68 do not agree with them.
    far = anonymizer.place(cropper.find(photo)[0])
    moved = far._replace(landmarks5=far.landmarks5 + 30)
    _, (blackened,) = anonymizer.render(photo, [moved])
    assert blackened.treatment == "blacked out"
    assert blackened.reason == "no landmarks: the 68 lie more than 12 px from the detector's five"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_landmark_distance": 9.0}, "max_landmark_distance: 9.0 there, 12.0 here"),
        ({"detector_sha256": "0" * 64}, "detector_sha256: '0000"),
        ({"interpolation": "cubic"}, "interpolation: 'cubic' there, 'linear' here"),
    ],
)
def test_another_contract_is_refused_by_the_setting_that_differs(metadata, change, message):
    other = {**metadata, "contract": {**metadata["contract"], **change}, "crop_contract": "0123456789abcdef"}
    with pytest.raises(ProtocolError, match=message):
        Cropper.for_model(other, "cpu")
