"""FaceTable: one row per source image, with its aligned crop and what was measured on it.

Shapes: N usable faces, B faces of a batch.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from veil.errors import DataError
from veil.faces.contract import CropContract
from veil.faces.pixels import FacePixels, PixelStore
from veil.faces.rows import LOW_RESOLUTION_SCALE, FaceRow, pack_rows
from veil.faces.storage import hash_rows, read_table
from veil.interfaces import FaceBatch

if TYPE_CHECKING:
    from torch import Tensor

_RGB, _PARTS = slice(0, 3), 3


class FaceTable:
    """Faces of one dataset or one of its splits.

    Arrays hold the usable faces only: those with a crop and 68 landmarks, in the order of the file. Images without a
    face, and faces without landmarks, remain rows and are counted in `undetected` and `without_landmarks`.
    """

    def __init__(self, rows: pa.Table, contract_hash: str, pixels: PixelStore, whole: "FaceTable | None" = None):
        """Wrap rows in the columns of SCHEMA; use `load`, `from_rows` or `split` instead."""
        self.rows = rows
        self.contract_hash = contract_hash
        has_crop = pc.is_valid(rows["crop"])
        self.undetected: int = len(rows) - pc.sum(has_crop, min_count=0).as_py()
        self._usable = rows.filter(pc.and_(has_crop, pc.is_valid(rows["landmarks68"])))
        self.without_landmarks: int = len(rows) - self.undetected - len(self._usable)
        self._pixels = pixels
        # Indices are those of the whole table, so that equal numbers of two splits never mean different people.
        self._whole = whole or self

    @classmethod
    def from_rows(cls, rows: Iterable[FaceRow], contract: CropContract) -> "FaceTable":
        """Build a table in memory.

        Raises:
            DataError: two rows have the same image id.
        """
        columns, pixels = pack_rows(rows)
        if pc.count_distinct(columns["image_id"]).as_py() != len(columns):
            raise DataError("two rows of a face table have the same image id")
        return cls(columns, contract.hash, PixelStore([pixels], len(pixels)))

    @classmethod
    def load(cls, path: Path, expected_contract: str | None = None) -> "FaceTable":
        """Read the columns of a table; pixels are read when they are asked for.

        Args:
            path: folder of the table.
            expected_contract: hash of the crop contract that other data of the caller has.

        Raises:
            DataError: the table is missing, incomplete, damaged, no face table, or of another contract.
        """
        summary, columns, pixels = read_table(path)
        if expected_contract is not None and summary.contract_hash != expected_contract:
            raise DataError(
                f"{path} was made under crop contract {summary.contract_hash}, expected {expected_contract}: crops of "
                f"different contracts never mix; its contract is {summary.contract}; run `veil prepare` again"
            )
        return cls(columns, summary.contract_hash, pixels)

    def split(self, name: str) -> "FaceTable":
        """Return the rows of one split; no pixels are read or copied.

        Raises:
            DataError: the table has no such split.
        """
        rows = self.rows.filter(pc.equal(self.rows["split"], name))
        if len(rows) == 0:
            raise DataError(f"the face table has no split {name!r}; it has: {', '.join(self.splits) or '(none)'}")
        return FaceTable(rows, self.contract_hash, self._pixels, self._whole)

    def take(self, positions: "Sequence[int] | np.ndarray") -> "FaceTable":
        """Return some usable faces; no pixels are read or copied.

        Args:
            positions: int (B,), places among the usable faces.
        """
        rows = self._usable.take(np.asarray(positions, np.int64))
        return FaceTable(rows, self.contract_hash, self._pixels, self._whole)

    @property
    def splits(self) -> list[str]:
        """Names of the splits, sorted."""
        return sorted(pc.unique(self.rows["split"]).to_pylist())

    def has(self, signals: Iterable[str]) -> np.ndarray:
        """Whether each usable face has all of some signals.

        Args:
            signals: of "landmarks68", "parsing" and "pose".

        Returns:
            bool (N,).
        """
        present = np.ones(len(self), np.bool_)
        for name in signals:
            present &= self._usable[name].is_valid().to_numpy()
        return present

    def __len__(self) -> int:
        """Number N of usable faces."""
        return len(self._usable)

    @property
    def crops(self) -> FacePixels:
        """Read-only uint8 (N, 3, 112, 112), RGB; what is indexed is read."""
        return FacePixels(self._pixels, self._numbers, _RGB)

    @property
    def parsing(self) -> FacePixels:
        """Read-only uint8 (N, 112, 112), numbers of FACE_PARTS, NO_PART throughout a face without a map; as `crops`."""
        return FacePixels(self._pixels, self._numbers, _PARTS)

    @cached_property
    def images(self) -> "Tensor":
        """float32 (N, 3, 112, 112), RGB in [-1, 1]: 150 KB a face, for the parts of a table that are evaluated."""
        return images_to_tensor(self.crops[:])

    @cached_property
    def landmarks5(self) -> np.ndarray:
        """float32 (N, 5, 2), crop pixels."""
        return self._points("landmarks5", 5)

    @cached_property
    def landmarks68(self) -> np.ndarray:
        """float32 (N, 68, 2), crop pixels."""
        return self._points("landmarks68", 68)

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

    @property
    def low_resolution(self) -> int:
        """Number of usable faces whose source shows them smaller than LOW_RESOLUTION_SCALE allows."""
        return int((self.source_scales > LOW_RESOLUTION_SCALE).sum())

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
        return self._known_identities.to_pylist()

    @cached_property
    def expression_labels(self) -> list[str | None]:
        """N expressions, each one of `veil.interfaces.EXPRESSIONS`, or None where a face is not labelled."""
        return self._usable["expression_label"].to_pylist()

    @cached_property
    def identity_indices(self) -> np.ndarray:
        """int64 (N,), index of the person among all people of the whole table, in the order of their names.

        Raises:
            DataError: the identity of a face is unknown.
        """
        return _indices(self._known_identities, self._whole.rows["identity"])

    @cached_property
    def source_indices(self) -> np.ndarray:
        """int64 (N,), index of the source file among all of the whole table; equal files have equal indices."""
        return _indices(self._usable["source_sha256"], self._whole.rows["source_sha256"])

    @cached_property
    def data_hash(self) -> str:
        """First 16 hex digits of a SHA-256 over image id, identity, split, labels and crop of all rows, in no order."""
        return hash_rows(self.rows["row_sha256"])

    def undetected_by_split(self) -> dict[str, int]:
        """Number of images without a face, by split."""
        counts = dict.fromkeys(self.splits, 0)
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

    @property
    def _known_identities(self) -> pa.ChunkedArray:
        column = self._usable["identity"]
        if column.null_count:
            raise DataError(f"{column.null_count} of {len(self)} faces have no identity; use a dataset with identities")
        return column

    @cached_property
    def _numbers(self) -> np.ndarray:
        return self._usable["crop"].to_numpy()

    def _points(self, name: str, count: int) -> np.ndarray:
        column = self._usable[name].combine_chunks()
        return column.flatten().to_numpy(zero_copy_only=False).reshape(len(self), count, 2).astype(np.float32)


def _indices(column: pa.ChunkedArray, whole: pa.ChunkedArray) -> np.ndarray:
    vocabulary = pc.unique(whole.drop_null())
    ordered = vocabulary.take(pc.sort_indices(vocabulary))
    return pc.index_in(column, value_set=ordered).to_numpy().astype(np.int64)


def images_to_tensor(images: np.ndarray) -> "Tensor":
    """Convert uint8 (B, 3, H, W) to float32 in [-1, 1]."""
    import torch

    return torch.from_numpy(np.array(images, np.float32)).div_(127.5).sub_(1.0)


def tensor_to_images(images: "Tensor") -> np.ndarray:
    """Convert float (B, 3, H, W) in [-1, 1], on any device, to uint8; values outside are clipped.

    The inverse of `images_to_tensor`.
    """
    import torch

    return images.detach().float().add(1.0).mul(127.5).round().clamp(0, 255).to("cpu", torch.uint8).numpy()
