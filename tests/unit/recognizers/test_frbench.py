"""FRBench's models: the real package on weights of our own, and clear words where package or weights are absent."""

import copy
import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from real_faces import astronaut_faces
from reference_packages import use_reference_package

from veil.errors import AssetError, ConfigError
from veil.recognizers import load_recognizer
from veil.recognizers.frbench import MODELS
from veil.registry import recognizers

MODEL = "mobilefacenet_arcface_ms1m"
NAME = f"frbench_{MODEL}"


@pytest.fixture
def frbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The real package with an empty cache, and no network to be tempted by."""
    use_reference_package("frbench", monkeypatch)
    monkeypatch.setenv("FRBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("FRBENCH_CONFIG", str(tmp_path / "config.json"))

    def refuse(*arguments: Any, **settings: Any) -> None:
        raise AssertionError("FRBench wanted to download something")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return importlib.import_module("frbench")


def write_model(cache: Path, model: str, config: dict[str, Any], weights: dict[str, torch.Tensor]) -> Path:
    """Lay a model out as `frbench-download` does; returns the weight file."""
    entry = {"target_name": model, "contents": {"weight": "model.pt", "config": "config.yaml"}}
    detector = {"target_name": "detector", "contents": {"weight": "detector.pt"}}
    manifest = {"__version__": "test", model: entry, "retinaface_mobilenetv1": detector}
    (cache / "manifest.json").write_text(json.dumps(manifest))
    (cache / model).mkdir()
    (cache / model / "config.yaml").write_text(yaml.safe_dump(config))
    torch.save(weights, cache / model / "model.pt")
    return cache / model / "model.pt"


SMALL = {"name": "mobilefacenet", "kwargs": {"num_features": 64}}
TEMPLATE = [[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]]
OTHER_SIZE = {"name": "mobilenet-wd4", "kwargs": {"num_features": 64, "input_size": [224, 224]}}
USUAL = {"size": [112, 112], "mean": [0.5, 0.5, 0.5], "var": [0.5, 0.5, 0.5], "channel": "rgb"}
UNUSUAL = {"mean": [0.3, 0.4, 0.5], "var": [0.2, 0.3, 0.25], "channel": "bgr"}


@pytest.mark.data
@pytest.mark.parametrize(
    ("backbone", "scaling"),
    [
        (SMALL, USUAL),
        (SMALL, {**USUAL, **UNUSUAL}),
        (OTHER_SIZE, {**USUAL, "size": [224, 224], "template": [[2 * x, 2 * y] for x, y in TEMPLATE]}),
    ],
    ids=["usual", "blue first", "another size"],
)
def test_equals_frbenchs_own_pipeline(
    frbench: Any, tmp_path: Path, backbone: dict[str, Any], scaling: dict[str, Any]
) -> None:
    backbones = importlib.import_module("frbench.backbones")
    torch.manual_seed(0)
    weights = backbones.build_backbone(backbone["name"], backbone["kwargs"], torch.device("cpu")).state_dict()
    path = write_model(tmp_path, MODEL, {"backbone": backbone, "input": scaling}, weights)

    net = load_recognizer(NAME)
    assert (net.name, net.embedding_size) == (NAME, 64)
    assert net.asset_sha256 == recognizers.get(NAME).weights_sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not any(parameter.requires_grad for parameter in net.parameters())

    images = astronaut_faces(2).images
    with frbench.configure_scoped(update_check=False), torch.no_grad():
        pipeline = frbench.FR(*MODEL.split("_"), eager_load=True)
        expected = pipeline((images + 1) * 127.5, need_crop=False, tta=(), l2_normalize=True).embeddings
    found = copy.deepcopy(net)(images.requires_grad_())
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    (gradient,) = torch.autograd.grad((found[0] * found[1]).sum(), images)
    assert float(gradient.abs().sum()) > 0


@pytest.mark.data
def test_other_alignment_is_refused(frbench: Any, tmp_path: Path) -> None:
    weights = importlib.import_module("frbench.backbones").build_backbone(SMALL["name"], SMALL["kwargs"], "cpu")
    lower = [[x, y + 8] for x, y in TEMPLATE]
    write_model(tmp_path, MODEL, {"backbone": SMALL, "input": {**USUAL, "template": lower}}, weights.state_dict())
    with pytest.raises(AssetError, match=f"{MODEL} of FRBench aligns faces to other points"):
        load_recognizer(NAME)


@pytest.mark.data
def test_absent_weights_say_how_to_get_them(frbench: Any, tmp_path: Path) -> None:
    message = rf"no weights of recognizer '{NAME}' in {tmp_path}; run `frbench-download {MODEL}`"
    with pytest.raises(AssetError, match=message):
        load_recognizer(NAME)
    write_model(tmp_path, "irse-18_arcface_ms1m", {}, {}).unlink()
    for absent in (NAME, "frbench_irse-18_arcface_ms1m"):
        with pytest.raises(AssetError, match="no weights of recognizer"):
            recognizers.get(absent).weights_sha256()


def test_absent_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "frbench", None)
    with pytest.raises(AssetError, match=r"pip install 'veil-faces\[frbench\]'"):
        load_recognizer(NAME)


def test_a_name_for_each_published_model() -> None:
    assert len(set(MODELS)) == 45
    assert all(model.count("_") == 2 for model in MODELS), "backbone, loss, training data"
    assert {f"frbench_{model}" for model in MODELS} <= set(recognizers.names())
    with pytest.raises(ConfigError, match="did you mean 'frbench_irse-50_arcface_ms1m'"):
        load_recognizer("frbench_irse-50_arcface")
