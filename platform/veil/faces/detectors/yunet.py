"""YuNet, through OpenCV."""

from collections.abc import Sequence
from typing import Any, cast

import cv2
import numpy as np

from veil.assets import fetch
from veil.assets.registry import load_registry
from veil.faces.detection import Detection
from veil.registry import detectors


@detectors.register("yunet")
class YuNet:
    """Wu et al., YuNet: A Tiny Millisecond-level Face Detector, 2023; the release of March 2023.

    OpenCV runs it on the CPU, one image after the other, whatever the device.
    """

    name = "yunet"

    def __init__(self, device: str = "cpu", score_threshold: float = 0.6, nms_threshold: float = 0.3) -> None:
        self.asset_sha256 = load_registry().asset("yunet").sha256
        self.settings: dict[str, Any] = {"score_threshold": score_threshold, "nms_threshold": nms_threshold}
        path = str(fetch("yunet"))
        # OpenCV 5 warns of a target that nobody asked for.
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        try:
            self._net = cv2.FaceDetectorYN.create(path, "", (320, 320), score_threshold, nms_threshold, top_k=5000)
        finally:
            cv2.utils.logging.setLogLevel(level)

    def __call__(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Return all faces of each image; images are BGR uint8 (H, W, 3), of any sizes."""
        return [self._detect(image) for image in images]

    def _detect(self, image: np.ndarray) -> list[Detection]:
        height, width = image.shape[:2]
        self._net.setInputSize((width, height))
        # OpenCV's stubs do not say that it is None when there is no face.
        rows = cast("np.ndarray | None", self._net.detect(image)[1])
        if rows is None:
            return []
        return [Detection(float(row[14]), row[:4].copy(), row[4:14].reshape(5, 2).copy()) for row in rows]
