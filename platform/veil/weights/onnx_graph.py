"""ONNX graphs as torch modules."""

import warnings
from pathlib import Path

import onnx
from onnx2torch import convert
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from veil.errors import AssetError


def load_onnx(path: Path) -> fx.GraphModule:
    """Convert the graph in `path` to a torch module with gradients, on the CPU, for inference.

    Batch norms are folded into the convolutions before them, which changes results by rounding only.

    Raises:
        AssetError: the file is no ONNX model, or uses an operator that onnx2torch does not know.
    """
    try:
        # Older files list weights among the inputs and the like; the converted net is checked against the original.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = convert(onnx.load(str(path))).eval()
    except Exception as error:  # onnx and onnx2torch raise protobuf's errors, RuntimeError, KeyError and others
        raise AssetError(f"cannot convert {path} to torch: {type(error).__name__}: {error}") from error
    _fold_batch_norms(graph)
    return graph


def _fold_batch_norms(graph: fx.GraphModule) -> None:
    for node in list(graph.graph.nodes):
        norm = _module_of(graph, node)
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        source = node.args[0]
        convolution = _module_of(graph, source)
        if isinstance(convolution, nn.Conv2d) and len(source.users) == 1:
            graph.set_submodule(source.target, fuse_conv_bn_eval(convolution, norm))
            node.replace_all_uses_with(source)
            graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()


def _module_of(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return graph.get_submodule(node.target) if node.op == "call_module" and isinstance(node.target, str) else None
