"""A world in which faces are red squares: what finds them and what anonymizes them, for tests of all around it."""

from types import SimpleNamespace

import cv2
import numpy as np

from veil.anonymizing.cropping import Cropper
from veil.anonymizing.faces import FaceAnonymizer
from veil.errors import DataError
from veil.faces.align import ARCFACE_TEMPLATE
from veil.faces.contract import CropContract
from veil.faces.detection import Detection

SIDE = 56
"""Of a face: its crop shows it at twice its size."""


class RedSquares:
    """Finds squares of pure red; the five points lie where an upright face of that size has them."""

    name, asset_sha256, settings = "red_squares", "0" * 64, {}

    def __call__(self, images):
        return [self._find(image) for image in images]

    def _find(self, image):
        b, g, r = (image[..., channel].astype(int) for channel in range(3))
        red = ((r > 200) & (g < 60) & (b < 60)).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(red)
        boxes = [stats[i, :4].astype(np.float32) for i in range(1, count) if stats[i, 4] > 30]
        return [Detection(0.9, box, (ARCFACE_TEMPLATE + 0.5) / 112 * box[2:] + box[:2] - 0.5) for box in boxes]


class Inverter:
    """Shows every colour as its opposite; `fails` and `idle` make it a model that raises or does nothing."""

    name, version, model_hash = "inverter@test", "1", "ab" * 32

    def __init__(self, fails=False, idle=False):
        self.metadata = {}
        self.seeds = []
        self._fails, self._idle = fails, idle

    def predict(self, crops, identity_seed=None):
        self.seeds.append(identity_seed)
        if self._fails:
            raise DataError("the model inverter@test failed")
        return crops if self._idle else 255 - crops


class PlainCropper(Cropper):
    """Looks at images as they are, without the border that would cut squares off from the edge."""

    def find(self, image):
        return sorted(self.detector([image])[0], key=lambda face: float(face.box[0]))


def red_anonymizer(fails=False, idle=False):
    contract = CropContract("red_squares", "0" * 64, {}, "none", "")
    landmarker = parser = SimpleNamespace()
    return FaceAnonymizer(
        Inverter(fails, idle), PlainCropper(RedSquares(), landmarker, parser, contract, frozenset(), "cpu")
    )


def picture(*places, size=(160, 320), seed=0):
    """A noisy grey-blue BGR image with a face at each (x, y) of its upper left corner."""
    noise = np.random.default_rng(seed).integers(90, 130, (*size, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 2)
    for x, y in places:
        cv2.rectangle(image, (x, y), (x + SIDE - 1, y + SIDE - 1), (0, 0, 255), -1)
    return image
