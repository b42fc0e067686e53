"""From images to rows of a face table: decode, detect, align, measure."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from veil.datasets.dataset import Skipped, SourceImage
from veil.faces.align import align_face, apply_similarity, estimate_similarity
from veil.faces.contract import CropContract
from veil.faces.detection import Detection, Detector, detect_faces
from veil.faces.images import UnreadableImageError, decode_image
from veil.faces.parsing import Parser, warp_parsing
from veil.faces.rows import FaceRow
from veil.faces.signals import Signals, measure_signals
from veil.faces.table import images_to_tensor
from veil.registry import detectors, parsers

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[int, int], None]
Landmarker = Callable[["Tensor"], "Tensor"]

_BATCH_IMAGES = 32
_BATCH_BYTES = 96 * 1024**2
"""Of decoded images: a batch of panoramas must not need more memory than one."""

FIVE_AMONG_68 = (range(36, 42), range(42, 48), range(30, 31), range(48, 49), range(54, 55))
"""Where the five points lie among the iBUG-68: the mean of each eye, the nose tip, the mouth corners."""


def _ignore(image: SourceImage, pixels: np.ndarray, matrix: np.ndarray) -> None:
    pass


class _Opened(NamedTuple):
    """An image that could be decoded.

    Attributes:
        image: where it comes from.
        row: what is known of it before a face is looked for.
        pixels: uint8 (H, W, 3), BGR.
    """

    image: SourceImage
    row: FaceRow
    pixels: np.ndarray


@dataclass(frozen=True)
class Preparation:
    """Makes rows of a face table out of images.

    Attributes:
        detector: finds faces.
        landmarker: maps crops, float (B, 3, 112, 112) in [-1, 1], to 68 landmarks (B, 68, 2).
        parser: makes parsing maps; the dataset's own are warped where it is the one called "dataset".
        contract: what these, and everything else that decides about crops, are.
        on_aligned: called with each image in which a face was found, its pixels and its alignment to the crop.
    """

    detector: Detector
    landmarker: Landmarker
    parser: Parser
    contract: CropContract
    on_aligned: Callable[[SourceImage, np.ndarray, np.ndarray], None] = _ignore

    @classmethod
    def load(
        cls,
        detector: str,
        parser: str,
        device: str = "cpu",
        on_aligned: Callable[[SourceImage, np.ndarray, np.ndarray], None] = _ignore,
    ) -> Self:
        """Load the nets.

        Args:
            detector: registered name.
            parser: registered name.
            device: where detector and landmark net run.
            on_aligned: see Preparation.

        Raises:
            ConfigError: there is no detector or parser of that name.
            AssetError: weights cannot be had.
        """
        # Imported here: needs torch, which readers of rows may do without.
        from veil.faces.landmarks import load_landmarker

        finder, net, labeller = detectors.get(detector)(device=device), load_landmarker(device), parsers.get(parser)()

        def landmarker(crops: "Tensor") -> "Tensor":
            return net(crops.to(device))

        return cls(finder, landmarker, labeller, CropContract.of(finder, net, labeller), on_aligned)

    def rows(self, images: Iterable[tuple[SourceImage, str]]) -> Iterator[FaceRow | Skipped]:
        """Make rows.

        Args:
            images: each with its split.

        Yields:
            For each image, in order, its row, or why its file is not used: it cannot be read or is no image. An image
            without a face is a row.
        """
        batch: list[_Opened | Skipped] = []
        held = 0
        for image, split in images:
            opened = self._open(image, split)
            batch.append(opened)
            held += opened.pixels.nbytes if isinstance(opened, _Opened) else 0
            if len(batch) == _BATCH_IMAGES or held >= _BATCH_BYTES:
                yield from self._measure(batch)
                batch, held = [], 0
        yield from self._measure(batch)

    def _open(self, image: SourceImage, split: str) -> _Opened | Skipped:
        try:
            content = image.read()
            pixels = decode_image(content)
        except UnreadableImageError as error:
            return Skipped(image.path, str(error))
        except OSError as error:
            return Skipped(image.path, f"cannot be read: {error.strerror or error}")
        row = FaceRow(
            image_id=image.image_id,
            split=split,
            source_path=image.path,
            source_sha256=hashlib.sha256(content).hexdigest(),
            detector=self.detector.name,
            identity=image.identity,
            expression_label=image.expression,
            label_distribution=image.label_distribution,
        )
        return _Opened(image, row, pixels)

    def _measure(self, batch: list[_Opened | Skipped]) -> Iterator[FaceRow | Skipped]:
        opened = [item for item in batch if isinstance(item, _Opened)]
        found = detect_faces(self.detector, [item.pixels for item in opened], self.contract.framing) if opened else []
        rows = iter(self._with_landmarks([self._align(*pair) for pair in zip(opened, found, strict=True)]))
        return (item if isinstance(item, Skipped) else next(rows) for item in batch)

    def _align(self, opened: _Opened, faces: list[Detection]) -> FaceRow:
        image, row, pixels = opened
        if not faces:
            return replace(row, missing={"crop": "no face found"})
        face = faces[0]
        matrix = estimate_similarity(face.landmarks5)
        if matrix is None:
            return replace(row, missing={"crop": "the five landmarks determine no alignment"})
        self.on_aligned(image, pixels, matrix)
        own_map, missing = None, {}
        if self.parser.name == "dataset" and image.read_parsing is not None:
            try:
                own_map = image.read_parsing()
            except OSError as error:
                missing["parsing"] = f"the dataset's map cannot be read: {error}"
        return replace(
            row,
            missing=missing,
            crop=align_face(pixels, matrix),
            parsing=None if own_map is None else warp_parsing(own_map, matrix, pixels.shape[:2]),
            landmarks5=apply_similarity(matrix, face.landmarks5),
            detector_score=face.score,
            source_scale=float(np.hypot(matrix[0, 0], matrix[1, 0])),
        )

    def _with_landmarks(self, rows: list[FaceRow]) -> list[FaceRow]:
        import torch

        found = [row.crop for row in rows if row.crop is not None]
        if not found:
            return rows
        crops, own_maps = np.stack(found), [row.parsing for row in rows if row.crop is not None]
        with torch.no_grad():
            predicted = iter(self.landmarker(images_to_tensor(crops)).cpu().numpy())
        rows = [row if row.crop is None else self._checked(row, next(predicted)) for row in rows]
        nowhere = np.full((68, 2), np.nan, np.float32)
        landmarks = [nowhere if row.landmarks68 is None else row.landmarks68 for row in rows if row.crop is not None]
        signals = iter(measure_signals(crops, np.stack(landmarks), self.parser, own_maps))
        return [row if row.crop is None else _with_signals(row, next(signals)) for row in rows]

    def _checked(self, row: FaceRow, landmarks68: np.ndarray) -> FaceRow:
        assert row.landmarks5 is not None
        distance = landmark_distance(landmarks68, row.landmarks5)
        if not distance <= self.contract.max_landmark_distance:  # also true of NaN
            reason = f"the 68 landmarks lie {distance:.1f} px from the detector's five"
            return replace(row, missing={**row.missing, "landmarks68": reason})
        return replace(row, landmarks68=landmarks68.astype(np.float32))


def _with_signals(row: FaceRow, signals: Signals) -> FaceRow:
    return replace(row, parsing=signals.parsing, pose=signals.pose, missing={**signals.missing, **row.missing})


def landmark_distance(landmarks68: np.ndarray, landmarks5: np.ndarray) -> float:
    """Mean distance between five points and the same places among 68, in pixels; NaN if a point is not finite.

    Args:
        landmarks68: float (68, 2), iBUG-68.
        landmarks5: float (5, 2), eyes, nose tip, mouth corners.
    """
    if not np.isfinite(landmarks68).all():
        return float("nan")
    same = np.stack([landmarks68[list(places)].mean(axis=0) for places in FIVE_AMONG_68])
    return float(np.linalg.norm(same - landmarks5, axis=1).mean())
