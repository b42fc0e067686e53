"""YuNet with careless alignment, for studies of what alignment does to scores."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from veil.faces.detection import Detection
from veil.faces.detectors.yunet import YuNet
from veil.registry import detectors


@detectors.register("yunet+jitter")
class JitteredYuNet:
    """YuNet's faces, the five points of each moved together: a little turned, enlarged or reduced, and shifted.

    Chance belongs to the pixels of an image, so that equal images get equal points.

    Args:
        device: as for YuNet.
        rotation_degrees: largest rotation about the middle of the points, either way.
        scale: largest enlargement or reduction, as a share.
        shift: largest shift along each axis, as a share of the face's longer side.
    """

    name = "yunet+jitter"

    def __init__(
        self, device: str = "cpu", rotation_degrees: float = 5.0, scale: float = 0.05, shift: float = 0.02
    ) -> None:
        self._detector = YuNet(device)
        self.asset_sha256 = self._detector.asset_sha256
        jitter = {"rotation_degrees": rotation_degrees, "scale": scale, "shift": shift}
        self.settings: dict[str, Any] = {**self._detector.settings, **jitter}
        self._largest = np.array([np.radians(rotation_degrees), np.log1p(scale), shift, shift])

    def __call__(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Return all faces of each image; images are BGR uint8 (H, W, 3), of any sizes."""
        return [
            [self._move(face, generator) for face in faces]
            for generator, faces in zip(map(_generator, images), self._detector(images), strict=True)
        ]

    def _move(self, face: Detection, generator: np.random.Generator) -> Detection:
        rotation, log_scale, *shift = generator.uniform(-1, 1, 4) * self._largest
        cosine, sine = np.exp(log_scale) * np.array([np.cos(rotation), np.sin(rotation)])
        middle = face.landmarks5.mean(axis=0)
        moved = (face.landmarks5 - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle
        return face._replace(landmarks5=(moved + np.array(shift) * face.box[2:].max()).astype(np.float32))


def _generator(image: np.ndarray) -> np.random.Generator:
    return np.random.default_rng(list(hashlib.sha256(image.tobytes()).digest()))
