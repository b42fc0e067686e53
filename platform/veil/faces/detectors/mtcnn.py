"""MTCNN: a cascade of three small nets, on facenet-pytorch's weights.

Source: Zhang et al., Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks, IEEE SPL 2016.

Shapes: B images, N candidates of all images together. Boxes are x1, y1, x2, y2 in pixels that count from 1 and belong
to the box at both ends, as in the MATLAB code that the nets were trained with.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from veil.assets import fetch
from veil.assets.registry import load_registry
from veil.faces.detection import Detection
from veil.faces.detectors.batching import same_size_batches
from veil.registry import detectors

_WINDOW, _STRIDE = 12, 2
"""P-Net looks at windows of 12×12 pixels, 2 pixels apart."""

_SQUARES = 512
"""How many candidates go through R- or O-Net at once."""


class Candidates(NamedTuple):
    """Where faces may be; on the CPU.

    Attributes:
        boxes: float (N, 4).
        scores: float (N,).
        owners: int (N,), the image of the batch that each lies in.
    """

    boxes: Tensor
    scores: Tensor
    owners: Tensor

    def take(self, indices: Tensor) -> "Candidates":
        """Those at some places, or where a mask is true."""
        return Candidates(*(values[indices] for values in self))


@detectors.register("mtcnn")
class MTCNN:
    """The cascade, with facenet-pytorch's thresholds."""

    name = "mtcnn"

    def __init__(
        self,
        device: str = "cpu",
        smallest_face: int = 20,
        pyramid_factor: float = 0.709,
        score_thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
    ) -> None:
        hashes = [load_registry().asset(net.asset).sha256 for net in (PNet, RNet, ONet)]
        self.asset_sha256 = hashlib.sha256("".join(hashes).encode()).hexdigest()
        self.settings: dict[str, Any] = {
            "smallest_face": smallest_face,
            "pyramid_factor": pyramid_factor,
            "score_thresholds": list(score_thresholds),
        }
        self._device = torch.device(device)
        self._propose, self._refine, self._decide = (net.load().to(self._device) for net in (PNet, RNet, ONet))
        self._smallest_face = smallest_face
        self._pyramid_factor = pyramid_factor
        self._thresholds = score_thresholds

    @torch.no_grad()
    def __call__(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Return all faces of each image; images are BGR uint8 (H, W, 3), of any sizes."""
        found: list[list[Detection]] = [[] for _ in images]
        for indices, batch in same_size_batches(images, self._device):
            faces, landmarks = self._detect(batch.flip(1))
            for box, score, owner, points in zip(*faces, landmarks, strict=True):
                corner, size = box[:2], box[2:] - box[:2]
                face = Detection(float(score), torch.cat([corner, size]).numpy(), points.numpy())
                found[indices[int(owner)]].append(face)
        return found

    def _detect(self, images: Tensor) -> tuple[Candidates, Tensor]:
        """Map images, float (B, 3, H, W) RGB in [0, 255], to faces and their landmarks (N, 5, 2)."""
        faces = self._proposals(images)

        scores, shifts = _run(self._refine, _cut_squares(images, faces, side=24))
        passed = scores > self._thresholds[1]
        faces, shifts = faces._replace(scores=scores).take(passed), shifts[passed]
        kept = _suppress(faces, 0.7)
        faces = _squared(faces.take(kept), shifts[kept], images, inclusive=1)

        scores, shifts, places = _run(self._decide, _cut_squares(images, faces, side=48))
        passed = scores > self._thresholds[2]
        faces, shifts, places = faces._replace(scores=scores).take(passed), shifts[passed], places[passed]
        corners, sizes = faces.boxes[:, None, :2], _sizes(faces.boxes, inclusive=1)[:, None]
        # The net gives five x, then five y, as fractions of the box. Landmarks are in pixels that count from 0.
        landmarks = places.view(-1, 2, 5).transpose(1, 2) * sizes + corners - 1
        faces = faces._replace(boxes=_shift(faces.boxes, shifts, inclusive=1))
        kept = _suppress_contained(faces, 0.7)
        return faces.take(kept), landmarks[kept]

    def _proposals(self, images: Tensor) -> Candidates:
        """Candidates of P-Net at all scales."""
        height, width = images.shape[2:]
        scale = _WINDOW / self._smallest_face
        found, shifts = [], []
        while min(height, width) * scale >= _WINDOW:
            size = (int(height * scale + 1), int(width * scale + 1))
            scores, shift_maps = (maps.cpu() for maps in self._propose(F.interpolate(images, size=size, mode="area")))
            owners, rows, columns = (scores >= self._thresholds[0]).nonzero(as_tuple=True)
            corners = _STRIDE * torch.stack([columns, rows], dim=1)
            boxes = torch.cat([((corners + 1) / scale).floor(), ((corners + _WINDOW) / scale).floor()], dim=1)
            at_scale = Candidates(boxes, scores[owners, rows, columns], owners)
            kept = _suppress(at_scale, 0.5)
            found.append(at_scale.take(kept))
            shifts.append(shift_maps[owners, :, rows, columns][kept])
            scale *= self._pyramid_factor
        if not found:
            return Candidates(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
        faces = Candidates(*(torch.cat(values) for values in zip(*found, strict=True)))
        kept = _suppress(faces, 0.7)
        return _squared(faces.take(kept), torch.cat(shifts)[kept], images, inclusive=0)


class CascadeNet(nn.Module):
    """One of the three nets: maps images, RGB in [0, 255], to scores in [0, 1], shifts of the box, and more.

    The names of the layers are those of the published weights.
    """

    asset: str

    @classmethod
    def load(cls) -> Self:
        """Build the net with its weights, frozen."""
        net = cls()
        net.load_state_dict(torch.load(fetch(cls.asset), map_location="cpu", weights_only=True))
        return net.eval().requires_grad_(False)


class PNet(CascadeNet):
    """Proposes: (B, 3, h, w) to scores (B, h', w') and shifts (B, 4, h', w')."""

    asset = "mtcnn_pnet"

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1, self.pool1 = nn.Conv2d(3, 10, 3), nn.PReLU(10), nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.pool1(self.prelu1(self.conv1(_normalised(images))))
        features = self.prelu3(self.conv3(self.prelu2(self.conv2(features))))
        return self.conv4_1(features).softmax(dim=1)[:, 1], self.conv4_2(features)


class RNet(CascadeNet):
    """Refines: (N, 3, 24, 24) to scores (N,) and shifts (N, 4)."""

    asset = "mtcnn_rnet"

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1, self.pool1 = nn.Conv2d(3, 28, 3), nn.PReLU(28), nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.prelu2, self.pool2 = nn.Conv2d(28, 48, 3), nn.PReLU(48), nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, squares: Tensor) -> tuple[Tensor, Tensor]:
        features = self.pool1(self.prelu1(self.conv1(_normalised(squares))))
        features = self.prelu3(self.conv3(self.pool2(self.prelu2(self.conv2(features)))))
        features = self.prelu4(self.dense4(_columns_first(features)))
        return self.dense5_1(features).softmax(dim=1)[:, 1], self.dense5_2(features)


class ONet(CascadeNet):
    """Decides: (N, 3, 48, 48) to scores (N,), shifts (N, 4) and landmarks (N, 10)."""

    asset = "mtcnn_onet"

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1, self.pool1 = nn.Conv2d(3, 32, 3), nn.PReLU(32), nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.prelu2, self.pool2 = nn.Conv2d(32, 64, 3), nn.PReLU(64), nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3, self.pool3 = nn.Conv2d(64, 64, 3), nn.PReLU(64), nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = nn.Linear(256, 2), nn.Linear(256, 4), nn.Linear(256, 10)

    def forward(self, squares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.pool1(self.prelu1(self.conv1(_normalised(squares))))
        features = self.pool2(self.prelu2(self.conv2(features)))
        features = self.prelu4(self.conv4(self.pool3(self.prelu3(self.conv3(features)))))
        features = self.prelu5(self.dense5(_columns_first(features)))
        return self.dense6_1(features).softmax(dim=1)[:, 1], self.dense6_2(features), self.dense6_3(features)


def _normalised(images: Tensor) -> Tensor:
    return (images - 127.5) / 128


def _columns_first(features: Tensor) -> Tensor:
    # MATLAB's order of memory.
    return features.permute(0, 3, 2, 1).flatten(1)


def _run(net: CascadeNet, squares: Tensor) -> list[Tensor]:
    """Outputs of a net for any number of squares, on the CPU."""
    outputs = [net(some) for some in squares.split(_SQUARES)]
    return [torch.cat(values).cpu() for values in zip(*outputs, strict=True)]


def _cut_squares(images: Tensor, candidates: Candidates, side: int) -> Tensor:
    """What lies in each box, as far as it lies in the image, resized to (N, 3, side, side)."""
    cut = [
        F.interpolate(images[owner : owner + 1, :, top - 1 : bottom, left - 1 : right], size=(side, side), mode="area")
        for owner, (left, top, right, bottom) in zip(
            candidates.owners.tolist(), _clip(candidates.boxes, images).tolist(), strict=True
        )
    ]
    return torch.cat(cut) if cut else images.new_zeros(0, 3, side, side)


def _clip(boxes: Tensor, images: Tensor) -> Tensor:
    """Whole pixels of the image that boxes cover."""
    height, width = images.shape[2:]
    corners, ends = boxes.trunc().long().chunk(2, dim=1)
    return torch.cat([corners.clamp(min=1), ends.minimum(torch.tensor([width, height]))], dim=1)


def _sizes(boxes: Tensor, inclusive: int) -> Tensor:
    """Width and height, (N, 2); with 1, both ends belong to the box. The cascade's stages do not agree on this."""
    return boxes[:, 2:] - boxes[:, :2] + inclusive


def _shift(boxes: Tensor, shifts: Tensor, inclusive: int) -> Tensor:
    """Move the edges of boxes by shifts, (N, 4), in parts of the box."""
    return boxes + shifts * _sizes(boxes, inclusive).repeat(1, 2)


def _squared(candidates: Candidates, shifts: Tensor, images: Tensor, inclusive: int) -> Candidates:
    """Shift boxes and widen them to squares; those that leave the image are dropped."""
    boxes = _shift(candidates.boxes, shifts, inclusive)
    sizes = _sizes(boxes, inclusive=0)
    side = sizes.amax(dim=1, keepdim=True)
    corners = boxes[:, :2] + sizes * 0.5 - side * 0.5
    candidates = candidates._replace(boxes=torch.cat([corners, corners + side], dim=1))
    clipped = _clip(candidates.boxes, images)
    return candidates.take((clipped[:, 2:] >= clipped[:, :2]).all(dim=1))


def _suppress(candidates: Candidates, threshold: float) -> Tensor:
    """Places of the candidates that overlap no surer one of their image by more than a threshold, surest first."""
    # torchvision is slow to import. In double precision, because it moves the boxes of each image far apart, and what
    # is found in one image must not depend on how many there are.
    from torchvision.ops import batched_nms

    return batched_nms(candidates.boxes.double(), candidates.scores.double(), candidates.owners, threshold)


def _suppress_contained(candidates: Candidates, threshold: float) -> Tensor:
    """As `_suppress`, but the overlap is a part of the smaller box: of a face within a face one remains."""
    order = candidates.scores.argsort(descending=True, stable=True)
    boxes, _, owners = candidates.take(order)
    corners, ends = boxes[:, None].maximum(boxes)[..., :2], boxes[:, None].minimum(boxes)[..., 2:]
    areas = _sizes(boxes, inclusive=1).prod(dim=1)
    covered = (ends - corners + 1).clamp(min=0).prod(dim=2) / areas[:, None].minimum(areas)
    rivals = (covered > threshold) & (owners[:, None] == owners)
    kept = torch.ones(len(order), dtype=torch.bool)
    for place in range(len(order)):
        if kept[place]:
            kept[place + 1 :] &= ~rivals[place, place + 1 :]
    return order[kept]
