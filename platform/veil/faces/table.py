"""FaceTable: one row per source image, with its aligned crop and what was measured on it, in one Parquet file.

Shapes: N usable faces, B faces of a batch.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from veil.atomic import replace_when_complete
from veil.errors import DataError
from veil.faces.contract import CropContract
from veil.interfaces import CROP_SIZE, NO_PART, FaceBatch

if TYPE_CHECKING:
    from torch import Tensor

_CROP_BYTES = 3 * CROP_SIZE * CROP_SIZE
_ROW_GROUP = 512

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("identity", pa.string()),
        pa.field("expression_label", pa.string()),
        pa.field("label_distribution", pa.list_(pa.float32())),
        pa.field("split", pa.string(), nullable=False),
        pa.field("crop", pa.binary(_CROP_BYTES)),
        pa.field("landmarks5", pa.list_(pa.float32())),
        pa.field("landmarks68", pa.list_(pa.float32())),
        pa.field("parsing", pa.binary()),
        pa.field("pose", pa.list_(pa.float32())),
        pa.field("missing", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("source_scale", pa.float32()),
        pa.field("detector", pa.string(), nullable=False),
        pa.field("detector_score", pa.float32()),
        pa.field("source_path", pa.string(), nullable=False),
        pa.field("source_sha256", pa.string(), nullable=False),
    ]
)
"""Columns. What is missing is null, and `missing` says why, by the name of the column.

Landmarks are x, y, x, y, … in lists of variable length: Parquet readers fail on null lists of fixed length.
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


class FaceTable:
    """Faces of one dataset or one of its splits.

    Arrays hold the usable faces only: those with a crop and 68 landmarks, in the order of the file. Images without a
    face, and faces without landmarks, remain rows and are counted in `undetected` and `without_landmarks`.
    """

    def __init__(self, rows: pa.Table, contract_hash: str, vocabularies: tuple[list[str], list[str]] | None = None):
        """Wrap rows in the columns of SCHEMA; use `load`, `from_rows` or `split` instead."""
        self.rows = rows
        self.contract_hash = contract_hash
        has_crop = pc.is_valid(rows["crop"])
        has_landmarks = pc.is_valid(rows["landmarks68"])
        self.undetected: int = len(rows) - pc.sum(has_crop).as_py() if len(rows) else 0
        self._usable = rows.filter(pc.and_(has_crop, has_landmarks))
        self.without_landmarks: int = len(rows) - self.undetected - len(self._usable)
        # Indices are those of the whole table, so that equal numbers of two splits never mean different people.
        self._vocabularies = vocabularies or (
            sorted(pc.unique(rows["identity"].drop_null()).to_pylist()),
            sorted(pc.unique(rows["source_sha256"]).to_pylist()),
        )

    @classmethod
    def from_rows(cls, rows: Iterable[FaceRow], contract: CropContract) -> "FaceTable":
        """Build a table in memory.

        Raises:
            DataError: two rows have the same image id.
        """
        table = _to_arrow(rows, contract)
        if pc.count_distinct(table["image_id"]).as_py() != len(table):
            raise DataError("two rows of a face table have the same image id")
        return cls(table, contract.hash)

    @classmethod
    def load(cls, path: Path, expected_contract: str | None = None) -> "FaceTable":
        """Read a table, memory-mapped.

        Args:
            path: Parquet file.
            expected_contract: hash of the crop contract that other data of the caller has.

        Raises:
            DataError: the file is missing, damaged, no face table, or of another contract.
        """
        try:
            rows = pq.read_table(path, memory_map=True)
        except FileNotFoundError:
            raise DataError(f"face table {path} does not exist; run `veil prepare`") from None
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"face table {path} cannot be read ({error}); delete it and run `veil prepare`") from error
        metadata = rows.schema.metadata or {}
        if not rows.schema.equals(SCHEMA) or b"veil.contract_hash" not in metadata:
            raise DataError(f"{path} is not a face table of this version; delete it and run `veil prepare`")
        found = metadata[b"veil.contract_hash"].decode()
        if expected_contract is not None and found != expected_contract:
            raise DataError(
                f"{path} was made under crop contract {found}, expected {expected_contract}: crops of different "
                f"contracts never mix; its contract is {metadata[b'veil.contract'].decode()}; run `veil prepare` again"
            )
        return cls(rows, found)

    def save(self, path: Path) -> None:
        """Write the table; the file appears complete or not at all.

        Raises:
            DataError: the folder cannot be written.
        """
        with replace_when_complete(path) as temporary:
            pq.write_table(self.rows, temporary, row_group_size=_ROW_GROUP, compression=_COMPRESSION)

    def split(self, name: str) -> "FaceTable":
        """Return the rows of one split.

        Raises:
            DataError: the table has no such split.
        """
        rows = self.rows.filter(pc.equal(self.rows["split"], name))
        if len(rows) == 0:
            known = ", ".join(sorted(pc.unique(self.rows["split"]).to_pylist()))
            raise DataError(f"the face table has no split {name!r}; it has: {known or '(none)'}")
        return FaceTable(rows, self.contract_hash, self._vocabularies)

    def __len__(self) -> int:
        """Number N of usable faces."""
        return len(self._usable)

    @cached_property
    def crops(self) -> np.ndarray:
        """Read-only uint8 (N, 3, 112, 112), RGB."""
        column = self._usable["crop"].combine_chunks()
        start = column.offset * _CROP_BYTES
        flat = np.frombuffer(column.buffers()[1] or b"", np.uint8)[start : start + len(column) * _CROP_BYTES]
        return flat.reshape(len(self), 3, CROP_SIZE, CROP_SIZE)

    @cached_property
    def images(self) -> "Tensor":
        """float32 (N, 3, 112, 112), RGB in [-1, 1]."""
        return images_to_tensor(self.crops)

    @cached_property
    def landmarks5(self) -> np.ndarray:
        """float32 (N, 5, 2), crop pixels."""
        return self._points("landmarks5", 5)

    @cached_property
    def landmarks68(self) -> np.ndarray:
        """float32 (N, 68, 2), crop pixels."""
        return self._points("landmarks68", 68)

    @cached_property
    def parsing(self) -> np.ndarray:
        """uint8 (N, 112, 112), numbers of FACE_PARTS; NO_PART throughout a face without a map."""
        empty = np.full((CROP_SIZE, CROP_SIZE), NO_PART, np.uint8)
        maps = self._usable["parsing"].to_pylist()
        found = [empty if one is None else np.frombuffer(one, np.uint8).reshape(empty.shape) for one in maps]
        return np.stack(found) if found else np.empty((0, *empty.shape), np.uint8)

    @cached_property
    def pose(self) -> np.ndarray:
        """float32 (N, 3), yaw, pitch and roll in degrees; NaN for a face without a pose."""
        unknown = [np.nan] * 3
        values = [unknown if one is None else one for one in self._usable["pose"].to_pylist()]
        return np.array(values, np.float32).reshape(-1, 3)

    @cached_property
    def source_scales(self) -> np.ndarray:
        """float32 (N,), crop pixels per pixel of the source; NaN where it is not known."""
        return self._usable["source_scale"].to_numpy(zero_copy_only=False).astype(np.float32)

    @cached_property
    def image_ids(self) -> list[str]:
        """N image ids."""
        return self._usable["image_id"].to_pylist()

    @cached_property
    def identities(self) -> list[str]:
        """N names of people.

        Raises:
            DataError: the identity of a face is unknown.
        """
        column = self._usable["identity"]
        if column.null_count:
            raise DataError(f"{column.null_count} of {len(self)} faces have no identity; use a dataset with identities")
        return column.to_pylist()

    @cached_property
    def expression_labels(self) -> list[str | None]:
        """N expressions, each one of `veil.interfaces.EXPRESSIONS`, or None where a face is not labelled."""
        return self._usable["expression_label"].to_pylist()

    @cached_property
    def identity_indices(self) -> np.ndarray:
        """int64 (N,), index of the person among all people of the whole table, in the order of their names."""
        index = {name: number for number, name in enumerate(self._vocabularies[0])}
        return np.array([index[name] for name in self.identities], np.int64)

    @cached_property
    def source_indices(self) -> np.ndarray:
        """int64 (N,), index of the source file among all of the whole table; equal files have equal indices."""
        index = {digest: number for number, digest in enumerate(self._vocabularies[1])}
        return np.array([index[digest] for digest in self._usable["source_sha256"].to_pylist()], np.int64)

    @cached_property
    def data_hash(self) -> str:
        """First 16 hex digits of the SHA-256 over image id, identity, split and crop of all rows, by image id."""
        digest = hashlib.sha256()
        columns = ("image_id", "identity", "split", "crop")
        for row in self.rows.select(columns).sort_by("image_id").to_pylist():
            for name in columns:
                value = row[name].encode() if isinstance(row[name], str) else row[name]
                # The length keeps ("ab", "c") and ("a", "bc") apart; null differs from empty.
                digest.update(b"-" if value is None else f"{len(value)}:".encode() + value)
        return digest.hexdigest()[:16]

    def undetected_by_split(self) -> dict[str, int]:
        """Number of images without a face, by split."""
        counts = dict.fromkeys(sorted(pc.unique(self.rows["split"]).to_pylist()), 0)
        for name in self.rows.filter(pc.is_null(self.rows["crop"]))["split"].to_pylist():
            counts[name] += 1
        return counts

    def batch(self, indices: "Sequence[int] | np.ndarray | Tensor") -> FaceBatch:
        """Return some faces.

        Args:
            indices: int (B,), positions among the usable faces.
        """
        import torch

        positions = np.asarray(indices, np.int64)
        return FaceBatch(
            images_to_tensor(self.crops[positions]),
            torch.from_numpy(self.landmarks68[positions]),
            torch.from_numpy(self.parsing[positions]),
            torch.from_numpy(self.pose[positions]),
        )

    def _points(self, name: str, count: int) -> np.ndarray:
        column = self._usable[name].combine_chunks()
        return column.flatten().to_numpy(zero_copy_only=False).reshape(len(self), count, 2).astype(np.float32)


_COMPRESSION = {name: "NONE" if name == "crop" else "ZSTD" for name in SCHEMA.names}
"""Photographs do not shrink; uncompressed they are read at the speed of the page cache."""


def write_rows(rows: Iterable[FaceRow], path: Path, contract: CropContract) -> None:
    """Write rows as they come, so that a dataset may be larger than memory; the file appears complete or not at all.

    Raises:
        DataError: the folder cannot be written.
    """
    remaining = iter(rows)
    with replace_when_complete(path) as temporary:
        schema = _to_arrow([], contract).schema
        with pq.ParquetWriter(temporary, schema, compression=_COMPRESSION) as writer:
            while chunk := list(islice(remaining, _ROW_GROUP)):
                writer.write_table(_to_arrow(chunk, contract))


def images_to_tensor(images: np.ndarray) -> "Tensor":
    """Convert uint8 (B, 3, H, W) to float32 in [-1, 1]."""
    import torch

    return torch.from_numpy(images.astype(np.float32)).div_(127.5).sub_(1.0)


def tensor_to_images(images: "Tensor") -> np.ndarray:
    """Convert float (B, 3, H, W) in [-1, 1], on any device, to uint8; values outside are clipped.

    The inverse of `images_to_tensor`.
    """
    import torch

    return images.detach().float().add(1.0).mul(127.5).round().clamp(0, 255).to("cpu", torch.uint8).numpy()


def _to_arrow(rows: Iterable[FaceRow], contract: CropContract) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for row in rows:
        for item in dataclasses.fields(row):
            columns[item.name].append(_to_plain(item.name, getattr(row, item.name)))
    metadata = {"veil.contract": contract.to_json(), "veil.contract_hash": contract.hash}
    return pa.table(columns, schema=SCHEMA.with_metadata(metadata))


def _to_plain(name: str, value: Any) -> Any:
    if name == "missing":
        return sorted(value.items())
    if not isinstance(value, np.ndarray):
        return value
    if name == "parsing":
        if value.shape != (CROP_SIZE, CROP_SIZE) or value.dtype != np.uint8:
            raise DataError(
                f"a parsing map must be uint8 ({CROP_SIZE}, {CROP_SIZE}), found {value.dtype} {value.shape}"
            )
        return value.tobytes()
    if name == "crop":
        if value.shape != (3, CROP_SIZE, CROP_SIZE) or value.dtype != np.uint8:
            raise DataError(f"a crop must be uint8 (3, {CROP_SIZE}, {CROP_SIZE}), found {value.dtype} {value.shape}")
        return value.tobytes()
    return value.astype(np.float32).ravel()
