"""What MLflow runs when it loads a registered operating point: aligned crops in, anonymized crops out."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from veil.errors import DataError
from veil.faces.landmarks import load_landmarker
from veil.faces.parsing import Parser
from veil.faces.signals import measure_faces
from veil.faces.table import tensor_to_images
from veil.registry import parsers, trainables
from veil.study import TrialRecord


class OperatingPoint(PythonModel):
    """An anonymizer over crops that follow the crop contract it was trained under."""

    def load_context(self, context: PythonModelContext) -> None:
        """Rebuild the anonymizer from the trial's own files."""
        folder = Path(context.artifacts["trial"])
        record = TrialRecord.model_validate_json((folder / "record.json").read_text(encoding="utf-8"))
        trainable = trainables.get(record.trainable)()
        settings = trainable.Config.parse(record.params, where=str(folder))
        self._anonymize = trainable.load(settings, folder)
        self._landmarker = load_landmarker()
        needs = getattr(self._anonymize, "needs", ())
        self._parser = _load_parser(context.model_config) if "parsing" in needs else None

    def predict(
        self, context: PythonModelContext, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        """Anonymize aligned crops.

        Args:
            context: unused.
            model_input: uint8 (B, 112, 112, 3), RGB, aligned to the 5-point ArcFace template.
            params: unused.

        Returns:
            uint8 (B, 112, 112, 3), RGB.

        Raises:
            DataError: a face lacks a signal that the anonymizer needs.
        """
        faces = measure_faces(model_input.transpose(0, 3, 1, 2), self._landmarker, self._parser)
        with torch.inference_mode():
            anonymized = self._anonymize(faces)
        return tensor_to_images(anonymized).transpose(0, 2, 3, 1)


def _load_parser(trained_with: dict[str, Any]) -> Parser:
    parser = parsers.get(trained_with["parsing"])()
    if parser.asset_sha256 != trained_with["parsing_sha256"]:
        raise DataError(
            f"the anonymizer was trained on maps of the face parser {parser.name!r} with weights of sha256 "
            f"{trained_with['parsing_sha256']}, found {parser.asset_sha256}; put the file it was trained with in place"
        )
    return parser


set_model(OperatingPoint())
