"""An anonymizer with the nets that measure what it needs, from a folder: aligned crops in, anonymized crops out."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from veil.assets import assets_only_from
from veil.config import Settings
from veil.errors import DataError
from veil.faces.landmarks import load_landmarker
from veil.faces.parsing import Parser
from veil.faces.signals import measure_faces
from veil.faces.table import tensor_to_images
from veil.interfaces import Anonymizer
from veil.registry import parsers, trainables

DESCRIPTION = "point.json"
TRIAL = "trial"
ASSETS = "assets"


class PointDescription(Settings):
    """What a folder rebuilds.

    Attributes:
        trainable, params: what made the anonymizer, and its settings.
        parsing: face parser whose maps it was trained on.
        parsing_sha256: of that parser's weights; empty if it has none.
        modules: modules of all plug-ins that the anonymizer is made of; with them no other need be searched for.
    """

    trainable: str
    params: dict[str, Any]
    parsing: str
    parsing_sha256: str
    modules: tuple[str, ...] = ()


class OperatingPoint:
    """An anonymizer over crops that follow the crop contract it was trained under.

    Args:
        folder: holds `point.json`, the files that the trainable loads in `trial`, and the nets in `assets`.
        carried: take nets from this folder alone, and fetch nothing.

    Attributes:
        needs: signals that a face must have.

    Raises:
        DataError: the folder is damaged, or the face parser is another one than in training.
        AssetError: a net is missing.
    """

    def __init__(self, folder: Path, carried: bool = True) -> None:
        try:
            values = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {folder / DESCRIPTION}: {error}; the model is damaged") from error
        described = PointDescription.parse(values, where=str(folder / DESCRIPTION))
        for module in described.modules:
            importlib.import_module(module)
        self._assets = folder / ASSETS if carried else None
        with assets_only_from(self._assets):
            trainable = trainables.get(described.trainable)()
            settings = trainable.Config.parse(described.params, where=str(folder))
            self._anonymizer: Anonymizer = trainable.load(settings, folder / TRIAL)
            self.needs: tuple[str, ...] = tuple(sorted(getattr(self._anonymizer, "needs", ())))
            self._landmarker = load_landmarker()
            self._parser = _load_parser(described) if "parsing" in self.needs else None

    def __call__(self, crops: np.ndarray, identity_seed: int | None = None) -> np.ndarray:
        """Anonymize aligned crops.

        Args:
            crops: uint8 (B, 112, 112, 3), RGB, aligned to the 5-point ArcFace template.
            identity_seed: draws the person whom all of these crops show; None leaves whom a crop shows to its pixels.
                An anonymizer that draws nobody has no use for it.

        Returns:
            uint8 (B, 112, 112, 3), RGB.

        Raises:
            DataError: a face lacks a signal that the anonymizer needs.
        """
        anonymizer = self._anonymizer
        if identity_seed is not None and hasattr(anonymizer, "as_one_person"):
            anonymizer = anonymizer.as_one_person(identity_seed)
        with assets_only_from(self._assets), torch.inference_mode():
            faces = measure_faces(crops.transpose(0, 3, 1, 2), self._landmarker, self._parser)
            anonymized = anonymizer(faces)
        return tensor_to_images(anonymized).transpose(0, 2, 3, 1)


def _load_parser(described: PointDescription) -> Parser:
    parser: Parser = parsers.get(described.parsing)()
    if parser.asset_sha256 != described.parsing_sha256:
        raise DataError(
            f"the anonymizer was trained on maps of the face parser {parser.name!r} with weights of sha256 "
            f"{described.parsing_sha256}, found {parser.asset_sha256}; put the file it was trained with in place"
        )
    return parser
