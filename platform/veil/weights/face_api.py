"""Weights of face-api: one binary file of tensors, most quantised to 8 bits, described by a JSON manifest."""

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from veil.errors import AssetError


def read_weights(binary: Path, manifest: Path) -> dict[str, Tensor]:
    """Read all tensors, de-quantised as `value = byte * scale + min`.

    Args:
        binary: the tensors' bytes one after another, in the order of the manifest.
        manifest: TensorFlow.js weights manifest: name, shape, dtype and quantisation of each tensor.

    Returns:
        float32 tensors by name, in TensorFlow's layouts.

    Raises:
        AssetError: the manifest does not describe the binary file.
    """
    content = np.fromfile(binary, dtype=np.uint8)
    tensors: dict[str, Tensor] = {}
    offset = 0
    for group in json.loads(manifest.read_text(encoding="utf-8")):
        for entry in group["weights"]:
            quantization = entry.get("quantization")
            stored = np.dtype(quantization["dtype"] if quantization else entry["dtype"]).newbyteorder("<")
            size = math.prod(entry["shape"]) * stored.itemsize
            if offset + size > content.size:
                raise AssetError(f"{binary} ends within tensor {entry['name']!r}; {manifest} belongs to another file")
            values = np.frombuffer(content[offset : offset + size].tobytes(), stored).astype(np.float32)
            if quantization:
                values = values * np.float32(quantization["scale"]) + np.float32(quantization["min"])
            tensors[entry["name"]] = torch.from_numpy(values.reshape(entry["shape"]))
            offset += size
    if offset != content.size:
        raise AssetError(f"{binary} has {content.size} bytes but {manifest} describes {offset}; they do not match")
    return tensors


def convolution_kernel(kernel: Tensor) -> Tensor:
    """TensorFlow's (H, W, in, out) kernel as PyTorch's (out, in, H, W)."""
    return kernel.permute(3, 2, 0, 1).contiguous()


def depthwise_kernel(kernel: Tensor) -> Tensor:
    """TensorFlow's (H, W, channels, 1) depthwise kernel as PyTorch's (channels, 1, H, W)."""
    return kernel.permute(2, 3, 0, 1).contiguous()


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding before and after one axis of `size` under TensorFlow's "SAME" rule.

    >>> same_padding(112, kernel=3, stride=2)
    (0, 1)
    """
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
