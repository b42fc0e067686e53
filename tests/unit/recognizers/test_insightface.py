"""InsightFace packs: found where the user keeps them, and clear words where they are not."""

import hashlib
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from orl_crops import require_assets
from real_faces import astronaut_faces

from veil.assets import fetch
from veil.errors import AssetError
from veil.recognizers import load_recognizer
from veil.recognizers.insightface import BuffaloS
from veil.weights.insightface_packs import ROOT_VARIABLE


def test_absent_pack_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    with pytest.raises(
        AssetError, match=r"no InsightFace pack 'buffalo_l' in .*models/buffalo_l; unpack buffalo_l.zip"
    ):
        load_recognizer("buffalo_l")


def test_absent_package_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "antelopev2").mkdir(parents=True)
    (tmp_path / "models" / "antelopev2" / "glintr100.onnx").touch()
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    monkeypatch.setitem(sys.modules, "insightface", None)
    with pytest.raises(AssetError, match=r"pip install 'veil-faces\[insightface\]'"):
        load_recognizer("antelopev2")


@pytest.mark.data
def test_pack_agrees_with_model_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_zoo = pytest.importorskip("insightface").model_zoo
    require_assets("sface")
    # Any 112×112 embedding net makes a pack; SFace stands in for the packs' own, which cannot be redistributed.
    folder = tmp_path / "models" / "buffalo_s"
    folder.mkdir(parents=True)
    shutil.copy(fetch("sface"), folder / "w600k_mbf.onnx")
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    recognizer = load_recognizer("buffalo_s")
    assert (recognizer.name, recognizer.embedding_size) == ("buffalo_s", 128)
    assert recognizer.asset_sha256 == BuffaloS.weights_sha256() == load_recognizer("sface").asset_sha256

    images = astronaut_faces(2).images
    pixels = ((images + 1) * 127.5).round()
    reference_model = model_zoo.get_model(str(folder / "w600k_mbf.onnx"), providers=["CPUExecutionProvider"])
    bgr = pixels.flip(1).permute(0, 2, 3, 1).to(torch.uint8).numpy()
    reference = np.concatenate([reference_model.get_feat(np.ascontiguousarray(image)) for image in bgr])
    reference /= np.linalg.norm(reference, axis=1, keepdims=True)
    np.testing.assert_allclose(recognizer(pixels / 127.5 - 1).numpy(), reference, atol=5e-6)


def write_net(path: Path, size: int, features: int) -> None:
    """An ONNX net of one strided convolution: images (B, 3, size, size) to (B, features)."""
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((features, 3, size, size)).astype(np.float32) / size
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["images", "kernel"], ["maps"]),
            helper.make_node("Flatten", ["maps"], ["features"]),
        ],
        "net",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, size, size])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", features])],
        [helper.make_tensor("kernel", TensorProto.FLOAT, kernel.shape, kernel.tobytes(), raw=True)],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def test_recognizer_is_found_among_a_packs_nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("insightface")
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    # antelopev2.zip unpacks into a folder of its own name; its file for age and gender comes first in the alphabet.
    folder = tmp_path / "models" / "antelopev2" / "antelopev2"
    write_net(folder / "genderage.onnx", size=96, features=3)
    write_net(folder / "glintr100.onnx", size=112, features=16)
    recognizer = load_recognizer("antelopev2")
    assert recognizer.embedding_size == 16
    assert recognizer.asset_sha256 == hashlib.sha256((folder / "glintr100.onnx").read_bytes()).hexdigest()

    # The net has no scaling of its own, so that model_zoo prescribes (byte - 127.5) / 127.5.
    kernel = onnx.numpy_helper.to_array(onnx.load(str(folder / "glintr100.onnx")).graph.initializer[0])
    images = astronaut_faces(2).images
    expected = np.einsum("bchw,fchw->bf", images.numpy(), kernel)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(recognizer(images).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "complaint"),
    [(96, "holds no recognition model; unpack the whole pack 'buffalo_s'"), (128, r"takes \(128, 128\) pixels")],
)
def test_unusable_pack_is_refused(size: int, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("insightface")
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    write_net(tmp_path / "models" / "buffalo_s" / "net.onnx", size, features=3)
    with pytest.raises(AssetError, match=complaint):
        load_recognizer("buffalo_s")
