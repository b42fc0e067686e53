"""Rows of a face table: what is known of one source image, and the columns that keep it."""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from veil.errors import DataError
from veil.interfaces import CROP_SIZE, NO_PART

PLANES = 4
"""Of the pixels of a face: red, green, blue and the numbers of its parsing map."""

PIXEL_SHAPE = (PLANES, CROP_SIZE, CROP_SIZE)

LOW_RESOLUTION_SCALE = 2.0
"""Crop pixels per pixel of the source above which a face counts as of low resolution."""

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("identity", pa.string()),
        pa.field("expression_label", pa.string()),
        pa.field("label_distribution", pa.list_(pa.float32())),
        pa.field("split", pa.string(), nullable=False),
        pa.field("crop", pa.int64()),
        pa.field("landmarks5", pa.list_(pa.float32())),
        pa.field("landmarks68", pa.list_(pa.float32())),
        pa.field("parsing", pa.int64()),
        pa.field("pose", pa.list_(pa.float32())),
        pa.field("missing", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("source_scale", pa.float32()),
        pa.field("detector", pa.string(), nullable=False),
        pa.field("detector_score", pa.float32()),
        pa.field("source_path", pa.string(), nullable=False),
        pa.field("source_sha256", pa.string(), nullable=False),
        pa.field("row_sha256", pa.binary(32), nullable=False),
    ]
)
"""Columns. What is missing is null, and `missing` says why, by the name of the column.

Crop and parsing map are kept apart from the columns, as pixels; the columns hold the number of the face there.
`row_sha256` covers what a study rests on: image id, identity, split, labels and crop. Landmarks are x, y, x, y, … in
lists of variable length: Parquet readers fail on null lists of fixed length.
"""


@dataclass(frozen=True)
class FaceRow:
    """One source image.

    Attributes:
        image_id: unique in the table.
        split: "train", "attacker", "search" or "sealed".
        source_path: where the image came from.
        source_sha256: of the source file; rows with the same value are renderings of one source.
        detector: registered name.
        identity: who is shown; None if unknown.
        expression_label: one of `veil.interfaces.EXPRESSIONS`; None if unlabelled.
        label_distribution: share of annotators per class, in that order; None if there is none.
        crop: uint8 (3, 112, 112), RGB; None if no face was found.
        landmarks5: float32 (5, 2), crop pixels; None if no face was found.
        landmarks68: float32 (68, 2), crop pixels; None if no face was found or the predictor failed.
        parsing: uint8 (112, 112), numbers of `veil.interfaces.FACE_PARTS`; None if there is none.
        pose: float32 (3,), yaw, pitch and roll of the head in degrees; None if it could not be computed.
        missing: why "crop", "landmarks68", "parsing" or "pose" is None, by name; a face without a crop says so once.
        source_scale: crop pixels per pixel of the source; above 1, the source shows less than the crop could.
        detector_score: in [0, 1]; None if no face was found.
    """

    image_id: str
    split: str
    source_path: str
    source_sha256: str
    detector: str
    identity: str | None = None
    expression_label: str | None = None
    label_distribution: Sequence[float] | None = None
    crop: np.ndarray | None = None
    landmarks5: np.ndarray | None = None
    landmarks68: np.ndarray | None = None
    parsing: np.ndarray | None = None
    pose: np.ndarray | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    source_scale: float | None = None
    detector_score: float | None = None


class PackedRows(NamedTuple):
    """Rows as they are stored.

    Attributes:
        columns: a table with the columns of SCHEMA.
        pixels: uint8 (F, 4, 112, 112), the F rows with a crop in their order: RGB and parsing map, NO_PART throughout
            where there is no map.
    """

    columns: pa.Table
    pixels: np.ndarray


def pack_rows(rows: Iterable[FaceRow], first: int = 0) -> PackedRows:
    """Turn rows into columns and pixels.

    Args:
        rows: in any order, which is kept.
        first: number of the first face among the pixels of the whole table.

    Raises:
        DataError: a crop or a parsing map has another shape or type than FaceRow says.
    """
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    pixels: list[np.ndarray] = []
    for row in rows:
        for item in dataclasses.fields(row):
            if item.name not in ("crop", "parsing"):
                columns[item.name].append(_to_plain(item.name, getattr(row, item.name)))
        columns["crop"].append(None if row.crop is None else first + len(pixels))
        columns["parsing"].append(None if row.parsing is None else first + len(pixels))
        columns["row_sha256"].append(_digest(row))
        if row.crop is not None:
            pixels.append(_planes(row))
    return PackedRows(
        pa.table(columns, schema=SCHEMA), np.stack(pixels) if pixels else np.empty((0, *PIXEL_SHAPE), np.uint8)
    )


def _planes(row: FaceRow) -> np.ndarray:
    planes = np.full(PIXEL_SHAPE, NO_PART, np.uint8)
    for name, value, place in (("crop", row.crop, planes[:3]), ("parsing map", row.parsing, planes[3])):
        if value is None:
            continue
        if value.shape != place.shape or value.dtype != np.uint8:
            raise DataError(f"a {name} must be uint8 {place.shape}, found {value.dtype} {value.shape}")
        place[...] = value
    return planes


def _to_plain(name: str, value: Any) -> Any:
    if name == "missing":
        return sorted(value.items())
    return value.astype(np.float32).ravel() if isinstance(value, np.ndarray) else value


def _digest(row: FaceRow) -> bytes:
    shares = row.label_distribution
    values = (
        row.image_id.encode(),
        None if row.identity is None else row.identity.encode(),
        row.split.encode(),
        None if row.expression_label is None else row.expression_label.encode(),
        None if shares is None else np.asarray(shares, "<f4").tobytes(),
        None if row.crop is None else np.ascontiguousarray(row.crop).tobytes(),
    )
    digest = hashlib.sha256()
    for value in values:
        # The length keeps ("ab", "c") and ("a", "bc") apart; null differs from empty.
        digest.update(b"-" if value is None else f"{len(value)}:".encode() + value)
    return digest.digest()
