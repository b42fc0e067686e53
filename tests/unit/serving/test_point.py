"""An operating point measures the signals it was trained on, as preparation does, and carries what it needs."""

import shutil

import numpy as np
import pytest
import torch
from orl_crops import orl_crops, require_assets

from trainables.conditioning import build_conditioning
from trainables.gan.loop import save_generator
from trainables.gan.unet import UNet
from trainables.gan_anonymizer import GanAnonymizer, GanConfig
from veil.assets import watch_assets
from veil.errors import AssetError, DataError
from veil.faces.landmarks import load_landmarker
from veil.faces.signals import measure_signals
from veil.faces.table import images_to_tensor, tensor_to_images
from veil.interfaces import FaceBatch
from veil.registry import parsers, watch_lookups
from veil.serving import OperatingPoint, PointDescription

CONDITIONING = "parsing+pose+heatmaps"
LANDMARKS = ("face_api_landmark_68_bin", "face_api_landmark_68_manifest")

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A point whose generator sees three signals and a code of its own for each image."""
    require_assets("orl_faces", *LANDMARKS)
    folder = tmp_path_factory.mktemp("point")
    torch.manual_seed(0)
    channels = build_conditioning(CONDITIONING).channels
    generator = UNet(channels, 8, code_size=5)
    torch.nn.init.normal_(generator.film.layers[-1].weight, std=0.1)
    code = {"identity": "random", "size": 4, "at_use": "image", "seed": 3, "preferences": [0.5]}
    description = {"conditioning": CONDITIONING, "channels": channels, "width": 8, "code_size": 5, "code": code}
    save_generator(folder / "trial" / "generator", generator, description)
    describe(folder)
    return folder


@pytest.fixture(scope="module")
def crops():
    """Uint8 (4, 112, 112, 3), two images of each of two people."""
    return tensor_to_images(orl_crops(2, 2)[0]).transpose(0, 2, 3, 1)


def describe(folder, **changes):
    values = {"trainable": "gan_anonymizer", "params": {"conditioning": CONDITIONING}, "parsing": "polygons"}
    described = PointDescription(**{**values, "parsing_sha256": "", **changes})
    (folder / "point.json").write_text(described.model_dump_json(), encoding="utf-8")


def test_signals_are_measured_on_new_crops(folder, crops):
    channels_first = crops.transpose(0, 3, 1, 2)
    images = images_to_tensor(channels_first)
    with torch.no_grad():
        landmarks = load_landmarker()(images)
    signals = measure_signals(channels_first, landmarks.numpy(), parsers.get("polygons")())
    faces = FaceBatch(
        images,
        landmarks,
        torch.from_numpy(np.stack([one.parsing for one in signals])),
        torch.from_numpy(np.stack([one.pose for one in signals])),
    )
    expected = tensor_to_images(GanAnonymizer().load(GanConfig(conditioning=CONDITIONING), folder / "trial")(faces))
    point = OperatingPoint(folder, carried=False)
    assert point.needs == ("landmarks68", "parsing", "pose")
    np.testing.assert_array_equal(point(crops), expected.transpose(0, 2, 3, 1))
    assert point(crops[:0]).shape == (0, 112, 112, 3)


def test_a_seed_draws_one_person_for_all_crops(folder, crops):
    point = OperatingPoint(folder, carried=False)
    # The same face at another brightness: another image with another code of its own, but the same of a seed.
    pair = np.stack([crops[0], crops[0] // 2])
    codes = [point._anonymizer.code(images_to_tensor(pair.transpose(0, 3, 1, 2)))]
    codes += [
        point._anonymizer.as_one_person(seed).code(images_to_tensor(pair.transpose(0, 3, 1, 2))) for seed in (1, 2)
    ]
    assert not torch.equal(codes[0][0], codes[0][1])
    assert all(torch.equal(*code) for code in codes[1:]) and not torch.equal(codes[1], codes[2])
    assert all((code[:, -1] == 0.5).all() for code in codes), "λ is no identity"
    np.testing.assert_array_equal(point(crops, identity_seed=1), point(crops, identity_seed=1))
    assert (point(crops, identity_seed=1) != point(crops)).any()


def test_what_is_carried_is_enough_and_nothing_else_is_fetched(folder, crops, tmp_path, monkeypatch):
    with watch_assets() as assets, watch_lookups() as modules:
        expected = OperatingPoint(folder, carried=False)(crops)
    assert {"trainables.gan_anonymizer", "trainables.conditioning.heatmaps"} <= modules
    carried = tmp_path / "carried"
    shutil.copytree(folder, carried)
    with pytest.raises(AssetError, match="a model must carry it as .* found no such file"):
        OperatingPoint(carried)
    (carried / "assets").mkdir()
    for path in assets:
        shutil.copy(path, carried / "assets")
    monkeypatch.setenv("VEIL_CACHE", str(tmp_path / "empty"))
    np.testing.assert_array_equal(OperatingPoint(carried)(crops), expected)
    (carried / "assets" / "face_landmark_68_model.bin").write_bytes(b"other")
    with pytest.raises(AssetError, match="the model is damaged"):
        OperatingPoint(carried)
    assert not (tmp_path / "empty").exists()


def test_damaged_points_and_other_parsers_are_refused(folder, crops, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    # Datasets have no maps of new images: an error, and no image is made.
    describe(copy, parsing="dataset")
    with pytest.raises(DataError, match="4 of 4 faces have no parsing map"):
        OperatingPoint(copy, carried=False)(crops)
    describe(copy, parsing_sha256="abc")
    with pytest.raises(DataError, match="trained on maps of the face parser 'polygons' with weights of sha256 abc"):
        OperatingPoint(copy, carried=False)
    (copy / "point.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="the model is damaged"):
        OperatingPoint(copy)
