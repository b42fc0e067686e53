"""RetinaFace on MobileNetV1 ×0.25.

Source: Deng et al., RetinaFace: Single-shot Multi-level Face Localisation in the Wild, CVPR 2020; net, anchors and
coding of boxes as in the PyTorch port of biubug6.

Shapes: B images, A anchors of an image.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil.assets import fetch
from veil.assets.registry import load_registry
from veil.faces.detection import Detection
from veil.faces.detectors.batching import same_size_batches
from veil.registry import detectors

_ASSET = "retinaface_mobilenet"

_MEAN_BGR = (104.0, 117.0, 123.0)

_ANCHORS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
"""Of each level of the pyramid: distance between its cells, and sides of the square anchors of a cell, in pixels."""

_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2

_LEAK = 0.1


class Predictions(NamedTuple):
    """What the net says about each anchor.

    Attributes:
        logits: float (B, A, 2), background and face.
        boxes: float (B, A, 4), coded centre and size.
        landmarks: float (B, A, 10), coded (x, y) of the five points.
    """

    logits: Tensor
    boxes: Tensor
    landmarks: Tensor


@detectors.register("retinaface")
class RetinaFace:
    """The detector, with the port's thresholds for faces that are shown to people."""

    name = "retinaface"

    def __init__(self, device: str = "cpu", score_threshold: float = 0.6, nms_threshold: float = 0.4) -> None:
        self.asset_sha256 = load_registry().asset(_ASSET).sha256
        self.settings: dict[str, Any] = {"score_threshold": score_threshold, "nms_threshold": nms_threshold}
        self._device = torch.device(device)
        self._net = RetinaFaceNet()
        self._net.load_state_dict(torch.load(fetch(_ASSET), map_location="cpu", weights_only=True))
        self._net.eval().requires_grad_(False).to(self._device)
        self._score_threshold = score_threshold
        self._nms_threshold = nms_threshold

    @torch.no_grad()
    def __call__(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Return all faces of each image; images are BGR uint8 (H, W, 3), of any sizes."""
        found: list[list[Detection]] = [[] for _ in images]
        for indices, batch in same_size_batches(images, self._device):
            predictions = self._net(batch - batch.new_tensor(_MEAN_BGR)[:, None, None])
            anchors = make_anchors(*batch.shape[2:]).to(self._device)
            scores = predictions.logits.softmax(dim=-1)[..., 1]
            boxes, landmarks = decode_boxes(predictions.boxes, anchors), decode_points(predictions.landmarks, anchors)
            for place, index in enumerate(indices):
                found[index] = self._select(scores[place], boxes[place], landmarks[place])
        return found

    def _select(self, scores: Tensor, boxes: Tensor, landmarks: Tensor) -> list[Detection]:
        from torchvision.ops import nms  # slow to import

        sure = scores > self._score_threshold
        scores, boxes, landmarks = scores[sure].cpu(), boxes[sure].cpu(), landmarks[sure].cpu()
        return [
            Detection(
                float(scores[index]),
                torch.cat([boxes[index, :2], boxes[index, 2:] - boxes[index, :2]]).numpy(),
                landmarks[index].numpy(),
            )
            for index in nms(boxes, scores, self._nms_threshold)
        ]


def make_anchors(height: int, width: int) -> Tensor:
    """Anchors of an image in the order of the net's predictions.

    Returns:
        float (A, 4), (x, y) of the centre, width and height, in pixels.
    """
    levels = []
    for step, sides in _ANCHORS:
        y, x = torch.meshgrid(torch.arange(-(-height // step)), torch.arange(-(-width // step)), indexing="ij")
        centres = (torch.stack([x, y], dim=-1) + 0.5) * step
        cells = [torch.cat([centres, torch.full_like(centres, side)], dim=-1) for side in sides]
        levels.append(torch.stack(cells, dim=2).view(-1, 4))
    return torch.cat(levels)


def decode_boxes(coded: Tensor, anchors: Tensor) -> Tensor:
    """Map coded boxes (…, A, 4) to x1, y1, x2, y2 in pixels."""
    centres = anchors[:, :2] + coded[..., :2] * _CENTRE_VARIANCE * anchors[:, 2:]
    sizes = anchors[:, 2:] * (coded[..., 2:] * _SIZE_VARIANCE).exp()
    return torch.cat([centres - sizes / 2, centres + sizes / 2], dim=-1)


def decode_points(coded: Tensor, anchors: Tensor) -> Tensor:
    """Map coded landmarks (…, A, 10) to (…, A, 5, 2) in pixels."""
    points = coded.unflatten(-1, (5, 2))
    return anchors[:, None, :2] + points * _CENTRE_VARIANCE * anchors[:, None, 2:]


class RetinaFaceNet(nn.Module):
    """Maps images, float (B, 3, H, W) BGR less the mean, to Predictions.

    The names of the layers are those of the published weights.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.body = MobileNet()
        self.fpn = FeaturePyramid((64, 128, 256), channels)
        self.ssh1, self.ssh2, self.ssh3 = (ContextModule(channels) for _ in _ANCHORS)
        self.ClassHead = nn.ModuleList(Head(channels, 2 * len(sides)) for _, sides in _ANCHORS)
        self.BboxHead = nn.ModuleList(Head(channels, 4 * len(sides)) for _, sides in _ANCHORS)
        self.LandmarkHead = nn.ModuleList(Head(channels, 10 * len(sides)) for _, sides in _ANCHORS)

    def forward(self, images: Tensor) -> Predictions:
        levels = self.fpn(self.body(images))
        levels = [context(level) for context, level in zip((self.ssh1, self.ssh2, self.ssh3), levels, strict=True)]

        def predict(heads: nn.ModuleList, values: int) -> Tensor:
            maps = [head(level) for head, level in zip(heads, levels, strict=True)]
            return torch.cat([each.permute(0, 2, 3, 1).reshape(len(images), -1, values) for each in maps], dim=1)

        return Predictions(predict(self.ClassHead, 2), predict(self.BboxHead, 4), predict(self.LandmarkHead, 10))


class MobileNet(nn.Module):
    """MobileNetV1 with a quarter of the channels: images to features at strides 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            _convolution(3, 8, stride=2),
            _separable(8, 16),
            _separable(16, 32, stride=2),
            _separable(32, 32),
            _separable(32, 64, stride=2),
            _separable(64, 64),
        )
        self.stage2 = nn.Sequential(_separable(64, 128, stride=2), *(_separable(128, 128) for _ in range(5)))
        self.stage3 = nn.Sequential(_separable(128, 256, stride=2), _separable(256, 256))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine = self.stage1(images)
        middle = self.stage2(fine)
        return fine, middle, self.stage3(middle)


class FeaturePyramid(nn.Module):
    """Adds what coarse features know to fine ones."""

    def __init__(self, inputs: tuple[int, int, int], channels: int) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (_convolution(count, channels, kernel=1) for count in inputs)
        self.merge1, self.merge2 = _convolution(channels, channels), _convolution(channels, channels)

    def forward(self, features: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        fine, middle, coarse = self.output1(features[0]), self.output2(features[1]), self.output3(features[2])
        middle = self.merge2(middle + F.interpolate(coarse, size=middle.shape[2:], mode="nearest"))
        fine = self.merge1(fine + F.interpolate(middle, size=fine.shape[2:], mode="nearest"))
        return fine, middle, coarse


class ContextModule(nn.Module):
    """Looks at windows of 3, 5 and 7 pixels (Najibi et al., SSH: Single Stage Headless Face Detector, ICCV 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.conv3X3 = _convolution(channels, half, activation=False)
        self.conv5X5_1 = _convolution(channels, quarter)
        self.conv5X5_2 = _convolution(quarter, quarter, activation=False)
        self.conv7X7_2 = _convolution(quarter, quarter)
        self.conv7x7_3 = _convolution(quarter, quarter, activation=False)

    def forward(self, features: Tensor) -> Tensor:
        shared = self.conv5X5_1(features)
        windows = [self.conv3X3(features), self.conv5X5_2(shared), self.conv7x7_3(self.conv7X7_2(shared))]
        return torch.cat(windows, dim=1).relu()


class Head(nn.Module):
    """One prediction per cell and anchor."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(channels, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv1x1(features)


def _convolution(
    inputs: int, outputs: int, stride: int = 1, kernel: int = 3, groups: int = 1, activation: bool = True
) -> nn.Sequential:
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.LeakyReLU(_LEAK)) if activation else nn.Sequential(*layers)


def _separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    depthwise = _convolution(inputs, inputs, stride, groups=inputs)
    return nn.Sequential(*depthwise, *_convolution(inputs, outputs, kernel=1))
