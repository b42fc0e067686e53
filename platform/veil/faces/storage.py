"""A face table on disk: a folder of parts, each written once, and a summary that appears when all are there.

Part 7 is `part-00007.parquet`, columns and skipped files, and `part-00007.npy`, pixels. The Parquet file is written
last: where it is, the part is finished. `table.json` makes the folder a table; `skipped.tsv` lists files that are no
rows.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from veil.atomic import replace_when_complete
from veil.config import Settings
from veil.datasets.dataset import SHOWN, Skipped
from veil.errors import ConfigError, DataError
from veil.faces.contract import CropContract
from veil.faces.pixels import PixelStore
from veil.faces.rows import LOW_RESOLUTION_SCALE, SCHEMA, FaceRow, pack_rows

SEVERAL_PEOPLE = "the same file lies under several people"
SKIPPED_FILES = "skipped.tsv"
_SUMMARY = "table.json"
_SKIPPED = b"veil.skipped"
_REPAIR = f"delete its {_SUMMARY} and run `veil prepare`, which makes this part again"


class SkippedFiles(Settings):
    """Files that are no rows, for one reason.

    Attributes:
        reason: why.
        count: how many.
        examples: the first few paths.
    """

    reason: str
    count: int
    examples: tuple[str, ...]

    @property
    def files(self) -> str:
        """The count, in words."""
        return "1 file" if self.count == 1 else f"{self.count} files"


class SplitSummary(Settings):
    """What one split holds.

    Attributes:
        people: known identities.
        images: rows.
        faces: usable ones, with a crop and 68 landmarks.
        undetected: images without a face.
        low_resolution: usable faces whose source shows them smaller than LOW_RESOLUTION_SCALE allows.
    """

    people: int
    images: int
    faces: int
    undetected: int
    low_resolution: int


class TableSummary(Settings):
    """What a complete table says of itself.

    Attributes:
        dataset: registered name.
        source: folder or archive of the dataset.
        contract: settings of the crop contract.
        contract_hash: its hash.
        data_hash: see FaceTable.
        capacity: files that were read for one part.
        rows: of each part.
        doubles: image ids of rows that do not count, because nobody can tell whom they show.
        splits: what each split holds.
        skipped: files that are no rows, by reason; the most frequent first.
        notes: sentences that a reader of results must know.
    """

    dataset: str
    source: str
    contract: dict[str, Any]
    contract_hash: str
    data_hash: str
    capacity: int
    rows: tuple[int, ...]
    doubles: tuple[str, ...]
    splits: dict[str, SplitSummary]
    skipped: tuple[SkippedFiles, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class TableFolder:
    """The folder of a table.

    Attributes:
        path: the folder.
        capacity: files that are read for one part.
    """

    path: Path
    capacity: int

    def columns_path(self, part: int) -> Path:
        """Columns of a part."""
        return self.path / f"part-{part:05}.parquet"

    def pixels_path(self, part: int) -> Path:
        """Pixels of a part."""
        return self.path / f"part-{part:05}.npy"

    def write_part(self, part: int, rows: Iterable[FaceRow], skipped: Sequence[Skipped]) -> None:
        """Write a part; it is finished or not there.

        Raises:
            DataError: the folder cannot be written, or is full.
        """
        columns, pixels = pack_rows(rows, first=part * self.capacity)
        with replace_when_complete(self.pixels_path(part)) as temporary, temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(pixels))
            # Not numpy.save: on a full disk it does not say that the disk is full.
            file.write(pixels.data)
        with replace_when_complete(self.columns_path(part)) as temporary:
            metadata = {_SKIPPED: json.dumps(skipped)}
            pq.write_table(columns.replace_schema_metadata(metadata), temporary, compression="ZSTD")

    def remove_leftovers(self) -> None:
        """Remove what writers that were killed have left half-way."""
        for path in self.path.glob(".*-*"):
            path.unlink(missing_ok=True)

    def is_finished(self, part: int) -> bool:
        """Whether a part is there, whole."""
        try:
            self.read_part(part)
        except DataError:
            return False
        return True

    def read_part(self, part: int) -> tuple[pa.Table, list[Skipped]]:
        """Columns and skipped files of a part.

        Raises:
            DataError: a file of it is missing or damaged.
        """
        try:
            # Without `partitioning`, a folder called a=1 somewhere above would become a column.
            columns = pq.read_table(self.columns_path(part), partitioning=None)
            faces = len(np.load(self.pixels_path(part), mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError, EOFError, pa.ArrowException) as error:
            raise DataError(
                f"part {part} of face table {self.path} is missing or damaged ({error}); {_REPAIR}"
            ) from error
        metadata = columns.schema.metadata or {}
        if not columns.schema.equals(SCHEMA) or _SKIPPED not in metadata:
            raise DataError(f"{self.path} is not a face table of this version; delete it and run `veil prepare`")
        if faces != len(columns) - columns["crop"].null_count:
            raise DataError(
                f"part {part} of face table {self.path} has pixels of {faces} faces, expected "
                f"{len(columns) - columns['crop'].null_count}; {_REPAIR}"
            )
        return columns.replace_schema_metadata(None), [Skipped(*item) for item in json.loads(metadata[_SKIPPED])]

    def close(
        self,
        parts: int,
        dataset: str,
        source: str,
        contract: CropContract,
        skipped: Iterable[Skipped],
        notes: Sequence[str],
    ) -> TableSummary:
        """Make the folder a table, when all its parts are there.

        Args:
            parts: how many there are.
            dataset: registered name.
            source: folder or archive of the dataset.
            contract: of all crops.
            skipped: files of the dataset that are in no part.
            notes: sentences for the summary.

        Raises:
            DataError: no part shows a face, a part is missing or damaged, or the folder cannot be written.
        """
        left_out, light, rows = list(skipped), [], []
        for part in range(parts):
            columns, unreadable = self.read_part(part)
            left_out += unreadable
            rows.append(len(columns))
            light.append(_lighten(columns))
        table = pa.concat_tables(light)
        double = several_people(table)
        doubles, table = table.filter(double), table.filter(pc.invert(double))
        left_out += [Skipped(path, SEVERAL_PEOPLE) for path in doubles["source_path"].to_pylist()]
        if not pc.any(table["detected"]).as_py():
            reasons = "".join(f"; {group.files}: {group.reason}" for group in _group(left_out))
            raise DataError(
                f"no face found in any of the {len(table)} images of {source}{reasons}; "
                "check 'data.root' and 'data.detector'"
            )
        summary = TableSummary(
            dataset=dataset,
            source=source,
            contract=json.loads(contract.to_json()),
            contract_hash=contract.hash,
            data_hash=hash_rows(table["row_sha256"]),
            capacity=self.capacity,
            rows=tuple(rows),
            doubles=tuple(doubles["image_id"].to_pylist()),
            splits={name: _summarise(table.filter(pc.equal(table["split"], name))) for name in _splits(table)},
            skipped=_group(left_out),
            notes=(*notes, *_shared_files(table)),
        )
        with replace_when_complete(self.path / SKIPPED_FILES) as temporary:
            temporary.write_text("".join(f"{path}\t{reason}\n" for path, reason in left_out), encoding="utf-8")
        with replace_when_complete(self.path / _SUMMARY) as temporary:
            temporary.write_text(summary.model_dump_json(indent=1), encoding="utf-8")
        return summary


def read_summary(path: Path) -> TableSummary:
    """What a table says of itself.

    Raises:
        DataError: there is no complete table of this version.
    """
    try:
        values = json.loads((path / _SUMMARY).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if path.is_file():
            raise DataError(f"{path} is not a face table of this version; delete it and run `veil prepare`") from None
        if not path.exists():
            raise DataError(f"face table {path} does not exist; run `veil prepare`") from None
        parts = len(list(path.glob("part-*.parquet")))
        raise DataError(
            f"face table {path} is not complete, {parts} of its parts are there; run `veil prepare`, which goes on "
            "where it stopped"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"face table {path} cannot be read ({error}); delete it and run `veil prepare`") from error
    try:
        return TableSummary.parse(values, where=str(path / _SUMMARY))
    except ConfigError as error:
        raise DataError(f"{error}: not a face table of this version; delete it and run `veil prepare`") from error


def read_table(path: Path) -> tuple[TableSummary, pa.Table, PixelStore]:
    """Summary, columns of the rows that count, and pixels of a table.

    Raises:
        DataError: the table is missing, incomplete, damaged, or of another version.
    """
    summary = read_summary(path)
    folder = TableFolder(path, summary.capacity)
    parts = [folder.read_part(part)[0] for part in range(len(summary.rows))]
    if tuple(len(part) for part in parts) != summary.rows:
        raise DataError(f"face table {path} has other parts than it was made of; delete it and run `veil prepare`")
    columns = pa.concat_tables(parts)
    counted = pc.invert(pc.is_in(columns["image_id"], value_set=pa.array(summary.doubles, pa.string())))
    pixels = PixelStore([folder.pixels_path(part) for part in range(len(parts))], summary.capacity)
    return summary, columns.filter(counted), pixels


def hash_rows(digests: pa.ChunkedArray) -> str:
    """First 16 hex digits of the SHA-256 over the sorted digests of rows: neither order nor parts matter."""
    return hashlib.sha256(b"".join(sorted(digests.to_pylist()))).hexdigest()[:16]


def several_people(table: pa.Table) -> pa.ChunkedArray:
    """Which rows show a file that lies under more than one person.

    Nobody can tell whom such a file shows, and in two splits it would make one see the other: no copy counts.
    """
    people = table.group_by("source_sha256").aggregate([("identity", "count_distinct")])
    shared = people.filter(pc.greater(people["identity_count_distinct"], 1))["source_sha256"]
    return pc.is_in(table["source_sha256"], value_set=shared.combine_chunks())


def _lighten(columns: pa.Table) -> pa.Table:
    """A few dozen bytes a row: this much of a table is held in memory when it is closed."""
    detected, landmarks = pc.is_valid(columns["crop"]), pc.is_valid(columns["landmarks68"])
    usable = pc.and_(detected, landmarks)
    low = pc.and_(usable, pc.fill_null(pc.greater(columns["source_scale"], LOW_RESOLUTION_SCALE), False))
    names = ["image_id", "identity", "split", "source_path", "source_sha256", "row_sha256"]
    return (
        columns.select(names)
        .append_column("detected", detected)
        .append_column("usable", usable)
        .append_column("low_resolution", low)
    )


def _shared_files(table: pa.Table) -> list[str]:
    """A sentence about files that the dataset itself puts into several splits."""
    files = table.group_by("source_sha256").aggregate([("split", "count_distinct")])
    shared = pc.sum(pc.greater(files["split_count_distinct"], 1)).as_py()
    return [f"Files that lie in several splits of the dataset, as the same bytes: {shared}."] if shared else []


def _splits(table: pa.Table) -> list[str]:
    return sorted(pc.unique(table["split"]).to_pylist())


def _summarise(split: pa.Table) -> SplitSummary:
    return SplitSummary(
        people=pc.count_distinct(split["identity"]).as_py(),
        images=len(split),
        faces=pc.sum(split["usable"]).as_py(),
        undetected=len(split) - pc.sum(split["detected"]).as_py(),
        low_resolution=pc.sum(split["low_resolution"]).as_py(),
    )


def _group(skipped: Sequence[Skipped]) -> tuple[SkippedFiles, ...]:
    paths: dict[str, list[str]] = defaultdict(list)
    for path, reason in skipped:
        paths[reason].append(path)
    return tuple(
        SkippedFiles(reason=reason, count=len(found), examples=tuple(found[:SHOWN]))
        for reason, found in sorted(paths.items(), key=lambda item: -len(item[1]))
    )
