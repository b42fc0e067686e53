"""SCRFD, the detectors of InsightFace's model packs, through onnxruntime.

Source: Guo et al., Sample and Computation Redistribution for Efficient Face Detection, ICLR 2022.

Shapes: A anchors of one level of the pyramid.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np
import torch

from veil.errors import AssetError
from veil.faces.detection import Detection
from veil.registry import detectors
from veil.weights.files import file_sha256
from veil.weights.insightface_packs import pack_folder

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_STRIDES = (8, 16, 32)
"""Distance between the cells of each level of the pyramid, in pixels."""

_ANCHORS_PER_CELL = 2


class SCRFD:
    """The detector of one pack.

    It runs on a GPU where the installed onnxruntime can, otherwise on the CPU; one image after the other.

    Attributes:
        pack: InsightFace's name of the pack.
        file: the detector's file in the pack.
    """

    name: ClassVar[str]
    pack: ClassVar[str]
    file: ClassVar[str]

    def __init__(self, device: str = "cpu", score_threshold: float = 0.5, nms_threshold: float = 0.4) -> None:
        path = next(pack_folder(self.pack).rglob(self.file), None)
        if path is None:
            raise AssetError(f"{pack_folder(self.pack)} has no {self.file}; unpack the whole pack {self.pack!r} there")
        self.asset_sha256 = file_sha256(path)
        self.settings: dict[str, Any] = {"score_threshold": score_threshold, "nms_threshold": nms_threshold}
        self._session = _open(path, device)
        self._score_threshold = score_threshold
        self._nms_threshold = nms_threshold

    def __call__(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Return all faces of each image; images are BGR uint8 (H, W, 3), of any sizes."""
        return [self._detect(image) for image in images]

    def _detect(self, image: np.ndarray) -> list[Detection]:
        from torchvision.ops import nms  # slow to import

        # The net needs whole cells at its coarsest level. What is added is black, as in InsightFace.
        below, right = (-side % _STRIDES[-1] for side in image.shape[:2])
        padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT)
        pixels = cv2.dnn.blobFromImage(padded, 1 / 128, mean=(127.5, 127.5, 127.5), swapRB=True)
        outputs = self._session.run(None, {self._session.get_inputs()[0].name: pixels})
        found = []
        for level, stride in enumerate(_STRIDES):
            # Scores of all levels come first, then boxes, then landmarks; newer packs have a batch dimension.
            score, distances, offsets = (out.reshape(-1, out.shape[-1]) for out in outputs[level :: len(_STRIDES)])
            sure = score[:, 0] >= self._score_threshold
            centres = make_centres(padded.shape[0], padded.shape[1], stride)[sure]
            found.append((score[sure, 0], *decode(centres, distances[sure] * stride, offsets[sure] * stride)))
        scores, boxes, landmarks = (np.concatenate(values) for values in zip(*found, strict=True))
        return [
            Detection(
                float(scores[place]),
                np.concatenate([boxes[place, :2], boxes[place, 2:] - boxes[place, :2]]),
                landmarks[place],
            )
            for place in nms(torch.from_numpy(boxes), torch.from_numpy(scores), self._nms_threshold).tolist()
        ]


@detectors.register("scrfd_10g")
class SCRFD10G(SCRFD):
    """The detector of buffalo_l, of 10 GFLOPs at 640×480."""

    name = "scrfd_10g"
    pack = "buffalo_l"
    file = "det_10g.onnx"


@detectors.register("scrfd_500m")
class SCRFD500M(SCRFD):
    """The detector of buffalo_s, of 0.5 GFLOPs at 640×480."""

    name = "scrfd_500m"
    pack = "buffalo_s"
    file = "det_500m.onnx"


def make_centres(height: int, width: int, stride: int) -> np.ndarray:
    """Centres of the anchors of one level, float32 (A, 2), (x, y) in pixels, in the order of the net's outputs."""
    y, x = np.mgrid[0:height:stride, 0:width:stride]
    return np.stack([x, y], axis=-1).reshape(-1, 2).repeat(_ANCHORS_PER_CELL, axis=0).astype(np.float32)


def decode(centres: np.ndarray, distances: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and landmarks in pixels.

    Args:
        centres: float (A, 2).
        distances: float (A, 4), from the centre to the left, top, right and bottom edge, in pixels.
        offsets: float (A, 10), from the centre to each of the five points, in pixels.

    Returns:
        x1, y1, x2, y2, float (A, 4), and landmarks, float (A, 5, 2).
    """
    boxes = np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], axis=1)
    return boxes, centres[:, None] + offsets.reshape(-1, 5, 2)


def _open(path: Path, device: str) -> "InferenceSession":
    try:
        import onnxruntime
    except ImportError as error:
        raise AssetError(f"{path} needs onnxruntime ({error}); pip install 'veil-faces[insightface]'") from None
    options = onnxruntime.SessionOptions()
    # As many threads as torch may use, so that several processes can share a machine.
    options.intra_op_num_threads = torch.get_num_threads()
    wanted = ["CUDAExecutionProvider"] if torch.device(device).type == "cuda" else []
    providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    session = onnxruntime.InferenceSession(path, options, providers=[*providers, "CPUExecutionProvider"])
    shape, outputs = session.get_inputs()[0].shape, len(session.get_outputs())
    if outputs != 3 * len(_STRIDES) or any(isinstance(side, int) for side in shape[2:]):
        raise AssetError(
            f"{path} has {outputs} outputs and takes images of {shape}; expected SCRFD with landmarks, which has "
            f"{3 * len(_STRIDES)} outputs and takes images of any size: unpack the original pack"
        )
    return session
