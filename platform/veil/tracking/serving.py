"""What MLflow runs when it loads a registered operating point: aligned crops in, anonymized crops out."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from veil.faces.landmarks import load_landmarker
from veil.faces.table import images_to_tensor, tensor_to_images
from veil.interfaces import FaceBatch
from veil.registry import trainables
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
        """
        images = images_to_tensor(model_input.transpose(0, 3, 1, 2))
        with torch.inference_mode():
            anonymized = self._anonymize(FaceBatch(images, self._landmarker(images)))
        return tensor_to_images(anonymized).transpose(0, 2, 3, 1)


set_model(OperatingPoint())
