"""From a dataset to a FaceTable on disk, once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from veil.atomic import require_writable
from veil.config import DataConfig, hash_values
from veil.datasets.dataset import SourceImage, check_images
from veil.datasets.splits import split_identities
from veil.errors import DataError
from veil.faces.align import align_face, apply_similarity, estimate_similarity
from veil.faces.contract import CropContract
from veil.faces.detection import Detector, detect_faces
from veil.faces.images import UnreadableImageError, decode_image
from veil.faces.parsing import Parser, warp_parsing
from veil.faces.signals import Signals, measure_signals
from veil.faces.table import SCHEMA, FaceRow, images_to_tensor, write_rows
from veil.registry import datasets, detectors, parsers

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[int, int], None]
Landmarker = Callable[["Tensor"], "Tensor"]

_LANDMARK_BATCH = 32

FIVE_AMONG_68 = (range(36, 42), range(42, 48), range(30, 31), range(48, 49), range(54, 55))
"""Where the five points lie among the iBUG-68: the mean of each eye, the nose tip, the mouth corners."""


def prepare(config: DataConfig, cache: Path, progress: Progress = lambda done, total: None) -> Path:
    """Detect, align and split all faces of a dataset, or find them already prepared.

    Args:
        config: dataset, detector and splits.
        cache: folder of prepared tables; the file name depends on the content of the dataset, the crop contract and
            the splits.
        progress: called with the number of images done and in total; once with (total, total) on a cache hit.

    Returns:
        Path of the Parquet file.

    Raises:
        DataError: the dataset cannot be used (see its reader), has too few people, shows no face at all, or the cache
            cannot be written.
        AssetError: weights or the dataset's archive cannot be fetched.
        ConfigError: unknown dataset or detector.
    """
    from veil.faces.landmarks import load_landmarker

    root = config.root.expanduser() if config.root is not None else None
    dataset = datasets.get(config.dataset)(root)
    splits = split_identities(dataset.identities, config.splits, config.split_seed)
    detector = detectors.get(config.detector)()
    landmarker = load_landmarker()
    parser = parsers.get(config.parsing)()
    contract = CropContract.of(detector, landmarker, parser)
    key = hash_values(
        {
            "dataset": dataset.fingerprint,
            "contract": contract.hash,
            "splits": config.splits.model_dump(mode="json"),
            "split_seed": config.split_seed,
            "columns": SCHEMA.to_string(),
        }
    )
    path = cache / f"faces-{config.dataset}-{key}.parquet"
    total = len(dataset.images)
    if path.is_file():
        progress(total, total)
        return path
    require_writable(cache)
    hashes = check_images(dataset.images, where=str(root or config.dataset))
    preparation = Preparation(detector, landmarker, parser, contract, splits, hashes)
    found = 0

    def counted() -> Iterator[FaceRow]:
        nonlocal found
        for done, row in enumerate(preparation.rows(dataset.images), start=1):
            found += row.crop is not None
            progress(done, total)
            yield row
        if found == 0:
            raise DataError(
                f"no face found in any of the {total} images of {root or config.dataset}; "
                "check 'data.root' and 'data.detector'"
            )

    write_rows(counted(), path, contract)
    return path


def _ignore(image: SourceImage, pixels: np.ndarray, matrix: np.ndarray) -> None:
    pass


@dataclass(frozen=True)
class Preparation:
    """Makes rows of a face table out of images.

    Attributes:
        detector: finds faces.
        landmarker: maps crops, float (B, 3, 112, 112) in [-1, 1], to 68 landmarks (B, 68, 2).
        parser: makes parsing maps; the dataset's own are warped where it is the one called "dataset".
        contract: what these, and everything else that decides about crops, are.
        splits: split by identity.
        hashes: SHA-256 of the file by image id.
        on_aligned: called with each image in which a face was found, its pixels and its alignment to the crop.
    """

    detector: Detector
    landmarker: Landmarker
    parser: Parser
    contract: CropContract
    splits: dict[str, str]
    hashes: dict[str, str]
    on_aligned: Callable[[SourceImage, np.ndarray, np.ndarray], None] = _ignore

    def rows(self, images: Sequence[SourceImage]) -> Iterator[FaceRow]:
        """Rows in the order of `images`."""
        aligned = (self._align(image) for image in images)
        while batch := list(islice(aligned, _LANDMARK_BATCH)):
            yield from self._with_landmarks(batch)

    def _align(self, image: SourceImage) -> FaceRow:
        row = FaceRow(
            image_id=image.image_id,
            split=self.splits[image.identity],
            source_path=image.path,
            source_sha256=self.hashes[image.image_id],
            detector=self.detector.name,
            identity=image.identity,
            expression_label=image.expression,
        )
        try:
            pixels = decode_image(image.read())
        except OSError as error:
            raise DataError(f"cannot read {image.path}: {error.strerror or error}") from error
        except UnreadableImageError as error:
            raise DataError(f"{image.path} changed while it was being prepared; run `veil prepare` again") from error
        (faces,) = detect_faces(self.detector, [pixels], self.contract.framing)
        if not faces:
            return replace(row, missing={"crop": "no face found"})
        face = faces[0]
        matrix = estimate_similarity(face.landmarks5)
        if matrix is None:
            return replace(row, missing={"crop": "the five landmarks determine no alignment"})
        self.on_aligned(image, pixels, matrix)
        own_map = image.read_parsing() if self.parser.name == "dataset" and image.read_parsing is not None else None
        return replace(
            row,
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
            return replace(row, missing={"landmarks68": reason})
        return replace(row, landmarks68=landmarks68.astype(np.float32))


def _with_signals(row: FaceRow, signals: Signals) -> FaceRow:
    return replace(row, parsing=signals.parsing, pose=signals.pose, missing={**row.missing, **signals.missing})


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
