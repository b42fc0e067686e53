"""The crop contract: everything that decides what a crop and its landmarks look like, and its hash."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from veil.config import hash_values
from veil.faces.align import ARCFACE_TEMPLATE
from veil.faces.detection import Detector
from veil.faces.framing import Framing
from veil.faces.parsing import Parser
from veil.faces.pose import METHOD
from veil.interfaces import CROP_SIZE


@dataclass(frozen=True)
class CropContract:
    """How faces became crops. Tables of different contracts never mix.

    Attributes:
        detector: registered name.
        detector_sha256: of its weights.
        detector_settings: thresholds.
        landmarks68: name of the 68-landmark predictor.
        landmarks68_sha256: of its weights.
        parsing: name of the face parser.
        parsing_sha256: of its weights; empty if it has none.
        pose: how the pose of the head is computed.
        decoding: how files become pixels (see `veil.faces.images`).
        framing: how images are presented to the detector.
        selection: which face of several is taken.
        template: (x, y) of the five points in the crop.
        size: side of the crop in pixels.
        interpolation: of the warp.
        border: what lies beyond the edge of the image.
        colour: channel order; grey images have three equal channels.
        max_landmark_distance: mean distance, in pixels, between the five points and the same places among the 68 above
            which the 68 count as failed.
    """

    detector: str
    detector_sha256: str
    detector_settings: dict[str, Any]
    landmarks68: str
    landmarks68_sha256: str
    parsing: str = "polygons"
    parsing_sha256: str = ""
    pose: str = METHOD
    decoding: str = "upright, first frame, on white, 8 bits"
    framing: Framing = field(default_factory=Framing)
    selection: str = "largest"
    template: tuple[tuple[float, float], ...] = field(
        default=tuple((round(float(x), 4), round(float(y), 4)) for x, y in ARCFACE_TEMPLATE)
    )
    size: int = CROP_SIZE
    interpolation: str = "linear"
    border: str = "replicate"
    colour: str = "RGB"
    max_landmark_distance: float = 12.0

    @classmethod
    def of(cls, detector: Detector, landmarker: Any, parser: Parser) -> "CropContract":
        """Contract of a detector, a 68-landmark predictor and a face parser with all else at its default."""
        return cls(
            detector=detector.name,
            detector_sha256=detector.asset_sha256,
            detector_settings=dict(detector.settings),
            landmarks68=landmarker.name,
            landmarks68_sha256=landmarker.asset_sha256,
            parsing=parser.name,
            parsing_sha256=parser.asset_sha256,
        )

    @property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON."""
        return hash_values(json.loads(self.to_json()))

    def to_json(self) -> str:
        """Canonical JSON of all settings."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)
