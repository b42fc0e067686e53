"""Finds, aligns and measures faces exactly as those were on which a registered model was trained and judged."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from veil.errors import ProtocolError
from veil.faces.align import apply_similarity
from veil.faces.contract import CropContract
from veil.faces.detection import Detection, Detector, detect_faces
from veil.faces.landmarks import Landmarker, load_landmarker
from veil.faces.parsing import Parser
from veil.faces.prepare import landmark_distance
from veil.faces.signals import SIGNALS, measure_signals
from veil.faces.table import images_to_tensor
from veil.registry import detectors, parsers


@dataclass(frozen=True)
class Cropper:
    """Makes crops under one crop contract.

    Attributes:
        detector: finds faces.
        landmarker: places the 68 landmarks.
        parser: makes parsing maps.
        contract: of the crops.
        needs: signals that a face must have.
        device: where the landmark net runs.
    """

    detector: Detector
    landmarker: Landmarker
    parser: Parser
    contract: CropContract
    needs: frozenset[str]
    device: str

    @classmethod
    def for_model(cls, metadata: Mapping[str, Any], device: str) -> Self:
        """Rebuild what a model's crops were made with.

        Args:
            metadata: of the registered model.
            device: where nets run.

        Raises:
            ProtocolError: this Veil cannot make crops under the model's contract.
            ConfigError: the contract names a detector or parser that is not here.
            AssetError: weights cannot be had.
        """
        wanted = dict(metadata["contract"])
        detector = detectors.get(wanted["detector"])(device=device, **wanted["detector_settings"])
        landmarker, parser = load_landmarker(device), parsers.get(wanted["parsing"])()
        contract = CropContract.of(detector, landmarker, parser)
        if contract.hash != metadata["crop_contract"]:
            raise ProtocolError(_difference(wanted, contract, metadata["crop_contract"]))
        return cls(detector, landmarker, parser, contract, frozenset(metadata["needs"]), device)

    def find(self, image: np.ndarray) -> list[Detection]:
        """All faces of a BGR uint8 (H, W, 3) image, largest first."""
        return detect_faces(self.detector, [image], self.contract.framing)[0]

    def missing_signals(
        self, crops: np.ndarray, landmarks5: Sequence[np.ndarray | None], matrices: Sequence[np.ndarray]
    ) -> list[str | None]:
        """Why faces cannot be anonymized, None for those that have every signal that is needed.

        Args:
            crops: uint8 (B, 3, 112, 112), RGB.
            landmarks5: float (5, 2) of each face, in pixels of the image; None where no detector looked, so that the
                landmarks cannot be checked against its points.
            matrices: float (2, 3) each, from pixels of the image to pixels of the crop.
        """
        import torch

        if not self.needs or not len(crops):
            return [None] * len(crops)
        with torch.inference_mode():
            landmarks = self.landmarker(images_to_tensor(crops).to(self.device)).cpu().numpy()
        signals = measure_signals(crops, landmarks, self.parser)
        return [
            self._missing(points, five, matrix, found.missing)
            for points, five, matrix, found in zip(landmarks, landmarks5, matrices, signals, strict=True)
        ]

    def _missing(
        self, landmarks68: np.ndarray, landmarks5: np.ndarray | None, matrix: np.ndarray, missing: dict[str, str]
    ) -> str | None:
        if landmarks5 is not None:
            limit = self.contract.max_landmark_distance
            if not landmark_distance(landmarks68, apply_similarity(matrix, landmarks5)) <= limit:  # also true of NaN
                missing = {**missing, "landmarks68": f"the 68 lie more than {limit:g} px from the detector's five"}
        reasons = [f"no {SIGNALS[need]}: {missing[need]}" for need in sorted(self.needs & missing.keys())]
        return "; ".join(reasons) or None


def _difference(wanted: dict[str, Any], ours: CropContract, wanted_hash: str) -> str:
    own = json.loads(ours.to_json())
    names = sorted(name for name in wanted.keys() | own.keys() if wanted.get(name) != own.get(name))
    differences = "; ".join(f"{name}: {wanted.get(name)!r} there, {own.get(name)!r} here" for name in names)
    return (
        f"the model expects crops of contract {wanted_hash}, this Veil makes {ours.hash} "
        f"({differences or 'its settings have another hash than it names'}); what was measured about the model would "
        "not hold for other crops: use the Veil and the weights that it was registered with, or choose another model"
    )
