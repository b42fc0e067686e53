"""Tables on disk: what comes back is what was put in, whatever the parts; what is not whole is refused in words."""

import json
import pickle
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from face_rows import make_row
from hypothesis import given, settings
from hypothesis import strategies as st

from veil.datasets.dataset import Skipped
from veil.errors import DataError
from veil.faces.contract import CropContract
from veil.faces.storage import SEVERAL_PEOPLE, SKIPPED_FILES, TableFolder, TableSummary, read_summary
from veil.faces.table import FaceRow, FaceTable


def store(
    rows: list[FaceRow], contract: CropContract, path: Path, capacity: int = 3, skipped: tuple[Skipped, ...] = ()
) -> TableSummary:
    """Write a table in parts; what is skipped goes with the first."""
    folder = TableFolder(path, capacity)
    parts = range(0, len(rows), capacity)
    for part, start in enumerate(parts):
        folder.write_part(part, rows[start : start + capacity], skipped if part == 0 else ())
    return folder.close(len(parts), "folder", "/faces", contract, (), ("one note.",))


@pytest.fixture
def path(rows: list[FaceRow], contract: CropContract, tmp_path: Path) -> Path:
    # Parquet readers are apt to take such a name for a column.
    store(rows, contract, tmp_path / "split=train" / "faces", capacity=3)
    return tmp_path / "split=train" / "faces"


def test_what_comes_back_is_what_was_put_in(path: Path, rows: list[FaceRow], contract: CropContract) -> None:
    loaded, table = FaceTable.load(path, expected_contract=contract.hash), FaceTable.from_rows(rows, contract)
    usable = [row for row in rows if row.crop is not None and row.landmarks68 is not None]
    for name in ("crop", "landmarks5", "landmarks68"):
        found = getattr(loaded, "crops" if name == "crop" else name)
        np.testing.assert_array_equal(found, np.stack([getattr(row, name) for row in usable]))
    assert loaded.image_ids == [row.image_id for row in usable]
    assert (loaded.contract_hash, loaded.data_hash) == (contract.hash, table.data_hash)
    others = [name for name in table.rows.column_names if name not in ("crop", "parsing")]
    assert loaded.rows.select(others).equals(table.rows.select(others)), "labels, scores, reasons and nulls too"
    search = loaded.split("search")
    np.testing.assert_array_equal(search.crops, table.split("search").crops)
    np.testing.assert_array_equal(search.batch([2, 0]).images, table.split("search").batch([2, 0]).images)
    np.testing.assert_array_equal(search.source_indices, table.split("search").source_indices)


def test_pixels_behave_as_an_array_and_travel_by_name(path: Path) -> None:
    pixels = FaceTable.load(path).crops
    plain = np.asarray(pixels)
    assert (pixels.shape, pixels.dtype, len(pixels)) == (plain.shape, plain.dtype, len(plain))
    for key in (0, -1, np.int64(2), slice(1, 4), slice(None, None, -2), [3, 0], np.array([True] * 3 + [False] * 2)):
        np.testing.assert_array_equal(pixels[key], plain[key])
    for key in ((slice(1, 3), 0), (2, slice(None), 5), ([0, 3], slice(1, 2), slice(4, 9))):
        np.testing.assert_array_equal(pixels[key], plain[key])
    assert len(list(pixels)) == len(plain)
    with pytest.raises(IndexError):
        pixels[5]
    travelled = pickle.dumps(pixels)
    assert len(travelled) < 2000, "the names of files, not their contents"
    np.testing.assert_array_equal(pickle.loads(travelled), plain)  # noqa: S301 - our own


@settings(max_examples=12)
@given(data=st.data())
def test_the_data_hash_depends_on_neither_parts_nor_order(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    contract = CropContract("yunet", "0" * 64, {}, "landmarks", "1" * 64)
    rows = [make_row(number, "train" if number % 2 else "search", f"p{number % 3}") for number in range(6)]
    order = data.draw(st.permutations(range(6)))
    capacity = data.draw(st.integers(1, 7))
    path = tmp_path_factory.mktemp("hash") / "faces"
    summary = store([rows[index] for index in order], contract, path, capacity)
    table = FaceTable.from_rows(rows, contract)
    assert summary.data_hash == FaceTable.load(path).data_hash == table.data_hash
    assert FaceTable.load(path).split("search").data_hash == table.split("search").data_hash != table.data_hash


def test_one_file_under_several_people_counts_nowhere(
    rows: list[FaceRow], contract: CropContract, tmp_path: Path
) -> None:
    # Row 6 is a copy of row 5 under the same person, which is allowed; row 2 becomes one of row 4, another person.
    copies = [*rows[:2], replace(rows[2], source_sha256=rows[4].source_sha256), *rows[3:]]
    summary = store(copies, contract, tmp_path / "faces", skipped=(Skipped("/a.jpg", "not an image"),))
    assert summary.doubles == ("i02", "i04")
    assert {group.reason: (group.count, group.examples) for group in summary.skipped} == {
        SEVERAL_PEOPLE: (2, (rows[2].source_path, rows[4].source_path)),
        "not an image": (1, ("/a.jpg",)),
    }
    assert len((tmp_path / "faces" / SKIPPED_FILES).read_text().splitlines()) == 3
    loaded = FaceTable.load(tmp_path / "faces")
    kept = FaceTable.from_rows([row for row in rows if row.image_id not in summary.doubles], contract)
    assert loaded.image_ids == kept.image_ids
    assert loaded.data_hash == summary.data_hash == kept.data_hash
    np.testing.assert_array_equal(loaded.crops, kept.crops)


def test_the_summary_counts_by_split(rows: list[FaceRow], contract: CropContract, tmp_path: Path) -> None:
    scaled = [replace(rows[0], source_scale=2.5), rows[1], replace(rows[2], source_scale=2.0), *rows[3:]]
    summary = store(scaled, contract, tmp_path / "faces")
    train, search = summary.splits["train"], summary.splits["search"]
    assert (train.people, train.images, train.faces, train.undetected, train.low_resolution) == (2, 3, 2, 1, 1)
    assert (search.people, search.images, search.faces, search.undetected, search.low_resolution) == (2, 4, 3, 0, 0)
    assert read_summary(tmp_path / "faces") == summary
    assert summary.notes == ("one note.",)
    # Where nobody is known, a dataset's own parts may share files.
    moved = [rows[0], replace(rows[2], identity=None, split="sealed", source_sha256=rows[0].source_sha256)]
    notes = store(moved, contract, tmp_path / "shared").notes
    assert notes == ("one note.", "Files that lie in several splits of the dataset, as the same bytes: 1.")


def test_contracts_never_mix(path: Path, contract: CropContract) -> None:
    other = replace(contract, detector="retinaface")
    with pytest.raises(DataError) as caught:
        FaceTable.load(path, expected_contract=other.hash)
    assert contract.hash in str(caught.value)
    assert other.hash in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda path: (path / "table.json").unlink(), "not complete, 3 of its parts are there; run `veil prepare`"),
        (lambda path: (path / "table.json").write_text("{"), "cannot be read"),
        (lambda path: (path / "table.json").write_text("{}"), "not a face table of this version"),
        (lambda path: (path / "part-00001.parquet").unlink(), "part 1 of face table .* missing or damaged"),
        (lambda path: (path / "part-00002.npy").unlink(), "part 2 of face table .* missing or damaged"),
        (lambda path: cut(path / "part-00001.parquet"), "part 1 of face table .* missing or damaged"),
        (lambda path: cut(path / "part-00001.npy"), "part 1 of face table .* missing or damaged"),
        (lambda path: (path / "part-00000.npy").replace(path / "part-00002.npy"), "part 0 of face table"),
        (
            lambda path: swap(path / "part-00001.npy", path / "part-00000.npy"),
            "part 0 .* has pixels of 3 faces, expected 2",
        ),
        (
            lambda path: swap(path / "part-00002.parquet", path / "part-00000.parquet"),
            "part 0 .* has pixels of 2 faces, expected 1",
        ),
    ],
)
def test_what_is_not_whole_is_refused(path: Path, damage: object, expected: str) -> None:
    damage(path)  # type: ignore[operator]
    with pytest.raises(DataError, match=expected):
        FaceTable.load(path)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def swap(one: Path, other: Path) -> None:
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])


def test_what_is_no_table_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; run `veil prepare`"):
        FaceTable.load(tmp_path / "absent")
    (tmp_path / "faces-old.parquet").write_text("of an older version")
    with pytest.raises(DataError, match="not a face table of this version"):
        FaceTable.load(tmp_path / "faces-old.parquet")
    summary = json.loads((path / "table.json").read_text())
    (path / "table.json").write_text(json.dumps(summary | {"rows": [3, 3, 2]}))
    with pytest.raises(DataError, match="other parts than it was made of"):
        FaceTable.load(path)


def test_a_part_is_whole_or_not_there(rows: list[FaceRow], contract: CropContract, tmp_path: Path) -> None:
    folder = TableFolder(tmp_path / "faces", 7)
    folder.write_part(0, rows, ())
    assert folder.is_finished(0)
    assert sorted(path.name for path in folder.path.iterdir()) == ["part-00000.npy", "part-00000.parquet"]
    # A writer that was killed leaves pixels without columns, and files half written.
    (folder.path / "part-00001.npy").write_bytes(folder.pixels_path(0).read_bytes())
    (folder.path / ".part-00002-abc.npy").write_bytes(b"half")
    assert not folder.is_finished(1)
    folder.remove_leftovers()
    assert not (folder.path / ".part-00002-abc.npy").exists()
    with pytest.raises(DataError, match="part 1 of face table"):
        folder.close(2, "folder", "/faces", contract, (), ())
    with pytest.raises(DataError, match="does not exist|not complete"):
        FaceTable.load(folder.path)


def test_a_table_without_a_face_is_refused(rows: list[FaceRow], contract: CropContract, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no face found in any of the 1 images of /faces; 1 file: not an image; check"):
        store([rows[1]], contract, tmp_path / "faces", skipped=(Skipped("/a.jpg", "not an image"),))
    assert not (tmp_path / "faces" / "table.json").exists()


def test_a_folder_that_cannot_be_written(rows: list[FaceRow], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write to .*file/faces: Not a directory"):
        TableFolder(tmp_path / "file" / "faces", 7).write_part(0, rows, ())


def test_a_full_disk_is_named_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    # A limit on the size of files is met as a full disk is: writing fails in the middle of the pixels.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(DataError, match=r"cannot write .*part-00000.npy: File too large"):
            TableFolder(tmp_path / "faces", 8).write_part(0, [make_row(number) for number in range(8)], ())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "faces").iterdir()) == []
