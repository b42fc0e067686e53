"""Convolutions of a TensorFlow Lite flatbuffer, in the order they run."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tflite
import torch
from torch import Tensor

from veil.errors import AssetError


class Convolution(NamedTuple):
    """One convolution with what follows it.

    Attributes:
        kernel: float32 (out, in, H, W), or (channels, 1, H, W) if depthwise.
        bias: float32 (out,).
        slope: float32 (out,), PReLU slopes for negative values; None if the layer is linear.
    """

    kernel: Tensor
    bias: Tensor
    slope: Tensor | None


def read_convolutions(path: Path) -> list[Convolution]:
    """Read every convolution of the main graph.

    A PReLU is recognised in the form TensorFlow writes it, `relu(x) + (slope / 2) * (x - |x|)`: the constant factor
    between two convolutions is half the slope.

    Raises:
        AssetError: the file is no TensorFlow Lite model, or its weights are not float32.
    """
    content = path.read_bytes()
    if not tflite.Model.ModelBufferHasIdentifier(content, 0):
        raise AssetError(f"{path} is not a TensorFlow Lite model; delete it so that it is fetched again")
    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    layers: list[Convolution] = []
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if kind == tflite.BuiltinOperator.CONV_2D:
            kernel, bias = (_constant(model, graph, operator.Inputs(slot), path) for slot in (1, 2))
            layers.append(Convolution(kernel.permute(0, 3, 1, 2).contiguous(), bias, None))
        elif kind == tflite.BuiltinOperator.DEPTHWISE_CONV_2D:
            kernel, bias = (_constant(model, graph, operator.Inputs(slot), path) for slot in (1, 2))
            layers.append(Convolution(kernel.permute(3, 0, 1, 2).contiguous(), bias, None))
        elif kind == tflite.BuiltinOperator.MUL and layers:
            layers[-1] = layers[-1]._replace(slope=2 * _constant(model, graph, operator.Inputs(0), path))
    return layers


def _constant(model: Any, graph: Any, index: int, path: Path) -> Tensor:
    tensor = graph.Tensors(index)
    if tensor.Type() != tflite.TensorType.FLOAT32:
        raise AssetError(f"{path}: tensor {tensor.Name().decode()!r} is not float32")
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    if isinstance(data, int):
        raise AssetError(f"{path}: tensor {tensor.Name().decode()!r} is not a constant")
    return torch.from_numpy(np.frombuffer(data.tobytes(), dtype="<f4").reshape(tensor.ShapeAsNumpy()).copy())
