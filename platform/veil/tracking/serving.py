"""What MLflow runs when it loads a registered operating point: aligned crops in, anonymized crops out."""

from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from veil.serving import OperatingPoint


class ServedPoint(PythonModel):
    """An operating point from the files of its model."""

    def load_context(self, context: PythonModelContext) -> None:
        """Rebuild the anonymizer; nothing is fetched."""
        self._point = OperatingPoint(Path(context.artifacts["point"]))

    def predict(
        self, context: PythonModelContext, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        """Anonymize aligned crops.

        Args:
            context: unused.
            model_input: uint8 (B, 112, 112, 3), RGB, aligned to the 5-point ArcFace template.
            params: `identity_seed`, which draws the person whom all of these crops show; -1 leaves whom a crop shows
                to its pixels.

        Returns:
            uint8 (B, 112, 112, 3), RGB.

        Raises:
            DataError: a face lacks a signal that the anonymizer needs.
        """
        seed = int((params or {}).get("identity_seed", -1))
        return self._point(model_input, seed if seed >= 0 else None)


set_model(ServedPoint())
