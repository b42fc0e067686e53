"""FRBench's recognizers (backbones × losses × training data), where the user has the package and their weights.

Source: Z. Wang et al., Protego: User-Centric Pose-Invariant Privacy Protection, CVPR 2026; github.com/HKU-TASR/FRBench.
"""

import json
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from veil.errors import AssetError
from veil.faces.align import ARCFACE_TEMPLATE
from veil.interfaces import CROP_SIZE
from veil.registry import recognizers
from veil.weights.files import file_sha256
from veil.weights.frozen import FrozenNet

_TEMPLATE_TOLERANCE_PIXELS = 1.0

# The models of FRBench's release weights-v1.0.0.
_BACKBONES = (
    *("resnet-100", "resnetv2-100", "densenet-201", "irse-18", "irse-34", "irse-50", "irse-100", "efficientnetv1-b4"),
    *("mobilefacenet", "swinv1-b", "swinv2-t", "swinv2-s", "swinv2-b", "swinv2-l", "swinmlp-b", "convnext-b"),
    *("convnextv2-b", "mobilevit-s", "mobilevitv2-2.0", "mobilevitv3-s", "mobilevitv3-2.0", "mobilenet-w1"),
    *("mobilenetv2-w1", "mobilenetv3-l", "mobilenetv4conv-m"),
)
_LARGE = ("irse-100", "swinv2-b")
_LOSSES = (
    *("tripletloss", "centerloss", "sphereface", "cosface"),
    *("curricularface", "magface", "adaface", "uniface"),
)
MODELS = (
    *(f"{backbone}_arcface_ms1m" for backbone in _BACKBONES),
    *(f"{backbone}_{loss}_ms1m" for backbone in _LARGE for loss in _LOSSES),
    *(f"{backbone}_arcface_{data}" for backbone in _LARGE for data in ("webface4m", "glint360k")),
)


class FRBenchRecognizer(FrozenNet):
    """One of FRBench's models: crops, float (B, 3, 112, 112) RGB in [-1, 1], to normalised embeddings (B, D).

    FRBench aligns faces to the same five points as Veil, so that crops go to the backbone without its detector. Its
    average over mirrored crops is left out.
    """

    model: ClassVar[str]
    mean: Tensor
    std: Tensor

    def __init__(self, pipeline: Any) -> None:
        super().__init__()
        self.body: nn.Module = pipeline.backbone
        self.embedding_size: int = pipeline.embedding_dim
        self.input_size: tuple[int, int] = pipeline.input_size
        self.bgr: bool = pipeline.preprocessor.channel == "bgr"
        # In the order of the backbone's channels, for intensities in [0, 1].
        self.register_buffer("mean", pipeline.preprocessor.mean)
        self.register_buffer("std", pipeline.preprocessor.std)

    @classmethod
    def load(cls) -> Self:
        frbench = _package(cls.name)
        _locate(cls.name, cls.model)  # FRBench would download what is absent
        with frbench.configure_scoped(update_check=False):
            pipeline = frbench.FR(*cls.model.split("_"), eager_load=True)
        template = pipeline.preprocessor.template.numpy() * (CROP_SIZE / pipeline.input_size[0])
        if np.abs(template - ARCFACE_TEMPLATE).max() > _TEMPLATE_TOLERANCE_PIXELS:
            raise AssetError(f"{cls.model} of FRBench aligns faces to other points than Veil's crops: {template}")
        return cls(pipeline).freeze()

    @classmethod
    def weights_sha256(cls) -> str:
        return file_sha256(_locate(cls.name, cls.model).weight)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[2:] != self.input_size:
            images = F.interpolate(images, self.input_size, mode="bilinear", align_corners=False, antialias=True)
        faces = (images.flip(1) if self.bgr else images) / 2 + 0.5
        return F.normalize(self.body((faces - self.mean) / self.std))


def _register(model: str) -> None:
    name = f"frbench_{model}"
    described = {"name": name, "model": model, "__doc__": f"FRBench's {model}.", "__module__": __name__}
    recognizers.register(name)(type(name, (FRBenchRecognizer,), described))


for _model in MODELS:
    _register(_model)


class _Files(NamedTuple):
    """Files of one model.

    Attributes:
        weight: state dict.
        config: what the backbone is and how its input is scaled.
    """

    weight: Path
    config: Path


def _package(name: str) -> Any:
    try:
        import frbench
    except ImportError as error:
        raise AssetError(
            f"recognizer {name!r} needs the frbench package ({error}); pip install 'veil-faces[frbench]'"
        ) from None
    return frbench


def _locate(name: str, model: str) -> _Files:
    folder = Path(_package(name).CACHE)
    try:
        entry = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))[model]
        root, contents = folder / entry["target_name"], entry["contents"]
        files = _Files(root / contents["weight"], root / contents["config"])
    except (FileNotFoundError, KeyError):
        files = None
    if files is None or not all(file.is_file() for file in files):
        raise AssetError(
            f"no weights of recognizer {name!r} in {folder}; run `frbench-download {model}`, "
            "or point FRBENCH_CACHE to the folder that holds FRBench's manifest.json and models"
        )
    return files
