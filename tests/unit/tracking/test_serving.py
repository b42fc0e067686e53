"""A served anonymizer measures the signals it was trained on, as preparation does."""

import numpy as np
import pytest
import torch
from mlflow.pyfunc import PythonModelContext
from orl_crops import orl_crops, require_assets

from trainables.conditioning import build_conditioning
from trainables.gan.loop import save_generator
from trainables.gan.unet import UNet
from trainables.gan_anonymizer import GanAnonymizer, GanConfig
from veil.errors import DataError
from veil.faces.landmarks import load_landmarker
from veil.faces.signals import measure_signals
from veil.faces.table import images_to_tensor, tensor_to_images
from veil.interfaces import FaceBatch
from veil.registry import parsers
from veil.study import TrialRecord
from veil.tracking.serving import OperatingPoint

CONDITIONING = "parsing+pose+heatmaps"


@pytest.fixture
def trial(tmp_path):
    torch.manual_seed(0)
    channels = build_conditioning(CONDITIONING).channels
    generator = UNet(channels, 8, code_size=5)
    torch.nn.init.normal_(generator.film.layers[-1].weight, std=0.1)
    code = {"identity": "random", "size": 4, "at_use": "image", "seed": 3, "preferences": [0.5]}
    description = {"conditioning": CONDITIONING, "channels": channels, "width": 8, "code_size": 5, "code": code}
    save_generator(tmp_path / "generator", generator, description)
    record = TrialRecord(
        number=0,
        state="valid",
        trainable="gan_anonymizer",
        family="gan",
        label="g",
        params={"conditioning": CONDITIONING},
    )
    (tmp_path / "record.json").write_text(record.model_dump_json(), encoding="utf-8")
    return tmp_path


def served(trial, **trained_with):
    model = OperatingPoint()
    context = PythonModelContext({"trial": str(trial)}, {"parsing": "polygons", "parsing_sha256": ""} | trained_with)
    model.load_context(context)
    return lambda crops: model.predict(context, crops.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.mark.data
def test_signals_are_measured_on_new_crops(trial):
    require_assets("face_api_landmark_68_bin", "face_api_landmark_68_manifest")
    crops = tensor_to_images(orl_crops(2, 2)[0])
    images = images_to_tensor(crops)
    with torch.no_grad():
        landmarks = load_landmarker()(images)
    signals = measure_signals(crops, landmarks.numpy(), parsers.get("polygons")())
    faces = FaceBatch(
        images,
        landmarks,
        torch.from_numpy(np.stack([one.parsing for one in signals])),
        torch.from_numpy(np.stack([one.pose for one in signals])),
    )
    expected = tensor_to_images(GanAnonymizer().load(GanConfig(conditioning=CONDITIONING), trial)(faces))
    anonymize = served(trial)
    np.testing.assert_array_equal(anonymize(crops), expected)
    assert anonymize(crops[:0]).shape == (0, 3, 112, 112)

    # Datasets have no maps of new images: an error, and no image is made.
    with pytest.raises(DataError, match="4 of 4 faces have no parsing map"):
        served(trial, parsing="dataset")(crops)
    with pytest.raises(DataError, match="trained on maps of the face parser 'polygons' with weights of sha256 abc"):
        served(trial, parsing_sha256="abc")
