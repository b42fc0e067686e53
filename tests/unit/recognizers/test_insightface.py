"""InsightFace packs: found where the user keeps them, and clear words where they are not."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from orl_crops import require_assets
from real_faces import astronaut_faces

from veil.assets import fetch
from veil.errors import AssetError
from veil.recognizers import load_recognizer
from veil.recognizers.insightface import ROOT_VARIABLE, BuffaloS


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
