"""Readers of foreign weight files: what they accept and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest

from veil.errors import AssetError
from veil.weights.face_api import read_weights, same_padding
from veil.weights.onnx_graph import load_onnx
from veil.weights.tflite_graph import read_convolutions


def write_model(folder: Path, content: bytes) -> tuple[Path, Path]:
    entries = [
        {
            "name": "a",
            "shape": [2, 2],
            "dtype": "float32",
            "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0},
        },
        {"name": "b", "shape": [2], "dtype": "float32"},
    ]
    binary, manifest = folder / "model.bin", folder / "manifest.json"
    binary.write_bytes(content)
    manifest.write_text(json.dumps([{"weights": entries, "paths": ["model.bin"]}]))
    return binary, manifest


CONTENT = bytes([0, 1, 2, 255]) + np.array([3.5, -4.25], "<f4").tobytes()


def test_quantised_and_plain_tensors(tmp_path: Path) -> None:
    tensors = read_weights(*write_model(tmp_path, CONTENT))
    assert tensors["a"].tolist() == [[-1.0, -0.5], [0.0, 126.5]]
    assert tensors["b"].tolist() == [3.5, -4.25]


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:2], CONTENT + b"x"])
def test_manifest_of_another_file(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(AssetError, match="model.bin"):
        read_weights(*write_model(tmp_path, content))


def test_same_padding_keeps_tensorflows_output_size() -> None:
    for size in range(3, 40):
        for stride in (1, 2, 3):
            before, after = same_padding(size, 3, stride)
            assert 0 <= after - before <= 1
            assert (size + before + after - 3) // stride + 1 == -(-size // stride)


def test_not_a_tflite_model(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"<html>" + bytes(100))
    with pytest.raises(AssetError, match="not a TensorFlow Lite model"):
        read_convolutions(path)


def test_not_an_onnx_model(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"<html>" + bytes(100))
    with pytest.raises(AssetError, match="cannot convert"):
        load_onnx(path)
