"""Recognizers of InsightFace's model packs, where the user has them; Veil neither ships nor downloads them."""

from functools import cache
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil.errors import AssetError
from veil.interfaces import CROP_SIZE
from veil.registry import recognizers
from veil.weights.files import file_sha256
from veil.weights.frozen import FrozenNet
from veil.weights.insightface_packs import pack_folder
from veil.weights.onnx_graph import load_onnx


class InsightFacePack(FrozenNet):
    """The recognition net of one pack: crops, float (B, 3, 112, 112) RGB in [-1, 1], to normalised embeddings (B, D).

    `insightface.model_zoo` says which of a pack's files is the recognizer and how its input is scaled.
    """

    def __init__(self, body: nn.Module, mean: float, scale: float) -> None:
        super().__init__()
        self.body = body
        self.mean = mean
        self.scale = scale
        with torch.no_grad():
            self.embedding_size = self.body(torch.zeros(1, 3, CROP_SIZE, CROP_SIZE)).shape[1]

    @classmethod
    def load(cls) -> Self:
        model = _recognition_model(pack_folder(cls.name))
        if tuple(model.input_size) != (CROP_SIZE, CROP_SIZE):
            raise AssetError(f"{model.model_file} takes {model.input_size} pixels; Veil's crops have {CROP_SIZE}")
        return cls(load_onnx(Path(model.model_file)), model.input_mean, model.input_std).freeze()

    @classmethod
    def weights_sha256(cls) -> str:
        return file_sha256(Path(_recognition_model(pack_folder(cls.name)).model_file))

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.body(((images + 1) * 127.5 - self.mean) / self.scale))


@recognizers.register("buffalo_l")
class BuffaloL(InsightFacePack):
    """ResNet-50 trained on WebFace600K, 512-d."""

    name = "buffalo_l"


@recognizers.register("buffalo_s")
class BuffaloS(InsightFacePack):
    """MobileFaceNet trained on WebFace600K, 512-d."""

    name = "buffalo_s"


@recognizers.register("antelopev2")
class AntelopeV2(InsightFacePack):
    """ResNet-100 trained on Glint360K, 512-d."""

    name = "antelopev2"


@cache
def _recognition_model(folder: Path) -> Any:
    try:
        from insightface import model_zoo
    except ImportError as error:
        raise AssetError(
            f"recognizer {folder.name!r} needs the insightface package ({error}); pip install 'veil-faces[insightface]'"
        ) from None
    for path in sorted(folder.rglob("*.onnx")):
        model = model_zoo.get_model(str(path), providers=["CPUExecutionProvider"])
        if model is not None and model.taskname == "recognition":
            return model
    raise AssetError(f"{folder} holds no recognition model; unpack the whole pack {folder.name!r} there")
