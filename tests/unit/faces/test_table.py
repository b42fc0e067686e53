"""FaceTable: what comes back is what was put in, missing values stay missing, contracts never mix."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from veil.errors import DataError
from veil.faces.contract import CropContract
from veil.faces.table import FaceRow, FaceTable, images_to_tensor, tensor_to_images, write_rows


@pytest.fixture
def table(rows: list[FaceRow], contract: CropContract) -> FaceTable:
    return FaceTable.from_rows(rows, contract)


def test_round_trip(table: FaceTable, rows: list[FaceRow], contract: CropContract, tmp_path: Path) -> None:
    table.save(tmp_path / "deep" / "faces.parquet")
    write_rows(iter(rows), tmp_path / "streamed.parquet", contract)
    for path in (tmp_path / "deep" / "faces.parquet", tmp_path / "streamed.parquet"):
        loaded = FaceTable.load(path, expected_contract=contract.hash)
        usable = [row for row in rows if row.crop is not None and row.landmarks68 is not None]
        assert len(loaded) == len(usable) == 5
        np.testing.assert_array_equal(loaded.crops, np.stack([row.crop for row in usable]))
        np.testing.assert_array_equal(loaded.landmarks5, np.stack([row.landmarks5 for row in usable]))
        np.testing.assert_array_equal(loaded.landmarks68, np.stack([row.landmarks68 for row in usable]))
        assert loaded.image_ids == [row.image_id for row in usable]
        assert loaded.identities == [row.identity for row in usable]
        assert loaded.contract_hash == contract.hash
        assert loaded.data_hash == table.data_hash
        assert loaded.rows.equals(table.rows), "labels, scores, reasons and nulls too"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["faces.parquet"], "no temporary file remains"


def test_missing_faces_are_counted_not_dropped(table: FaceTable) -> None:
    assert (len(table), table.undetected, table.without_landmarks, len(table.rows)) == (5, 1, 1, 7)
    assert table.undetected_by_split() == {"search": 0, "train": 1}
    train, search = table.split("train"), table.split("search")
    assert (len(train), train.undetected, train.without_landmarks) == (2, 1, 0)
    assert (len(search), search.undetected, search.without_landmarks) == (3, 0, 1)
    reasons = table.rows["missing"].to_pylist()
    assert [bool(reason) for reason in reasons] == [False, True, False, True, False, False, False]


def test_split_keeps_the_numbers_of_people_and_sources(table: FaceTable) -> None:
    assert table.identity_indices.tolist() == [0, 1, 2, 3, 3]
    search = table.split("search")
    assert search.image_ids == ["i04", "i05", "i06"]
    assert search.identity_indices.tolist() == [2, 3, 3], "never those of people in other splits"
    sources = search.source_indices
    assert sources[1] == sources[2] != sources[0], "equal files are one source"
    np.testing.assert_array_equal(search.crops, table.crops[2:])
    np.testing.assert_array_equal(search.landmarks68, table.landmarks68[2:])


def test_unknown_split_names_the_known(table: FaceTable) -> None:
    with pytest.raises(DataError, match="no split 'sealed'; it has: search, train"):
        table.split("sealed")


def test_images_and_batches(table: FaceTable) -> None:
    assert table.images.dtype == torch.float32
    assert table.images.shape == (5, 3, 112, 112)
    assert table.images.min() == -1
    assert table.images.max() == 1
    np.testing.assert_array_equal(tensor_to_images(table.images), table.crops)
    batch = table.batch(torch.tensor([3, 0]))
    torch.testing.assert_close(batch.images, table.images[[3, 0]], rtol=0, atol=0)
    np.testing.assert_array_equal(batch.landmarks.numpy(), table.landmarks68[[3, 0]])


def test_conversions_are_inverse_for_every_value_and_clip() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    np.testing.assert_array_equal(tensor_to_images(images_to_tensor(values)), values)
    outside = torch.tensor([-1.5, 1.5]).reshape(1, 1, 1, 2)
    assert tensor_to_images(outside).ravel().tolist() == [0, 255]


def test_a_split_without_a_usable_face_has_empty_arrays(rows: list[FaceRow], contract: CropContract) -> None:
    table = FaceTable.from_rows([rows[1]], contract)
    assert table.crops.shape == table.images.shape == (0, 3, 112, 112)
    assert table.landmarks68.shape == (0, 68, 2)
    assert table.identities == []


def test_data_hash_depends_on_content_only(table: FaceTable, rows: list[FaceRow], contract: CropContract) -> None:
    def data_hash(changed: list[FaceRow]) -> str:
        return FaceTable.from_rows(changed, contract).data_hash

    assert data_hash(rows[::-1]) == table.data_hash
    crop = np.array(rows[0].crop)
    crop[0, 0, 0] ^= 1
    changes = [{"image_id": "x"}, {"identity": "x"}, {"identity": None}, {"split": "sealed"}, {"crop": crop}]
    hashes = {data_hash([replace(rows[0], **change), *rows[1:]]) for change in changes}
    assert len(hashes | {table.data_hash}) == 6
    assert data_hash([replace(rows[0], source_path="elsewhere"), *rows[1:]]) == table.data_hash


def test_contracts_never_mix(table: FaceTable, contract: CropContract, tmp_path: Path) -> None:
    table.save(tmp_path / "faces.parquet")
    other = replace(contract, detector="retinaface")
    with pytest.raises(DataError) as caught:
        FaceTable.load(tmp_path / "faces.parquet", expected_contract=other.hash)
    assert contract.hash in str(caught.value)
    assert other.hash in str(caught.value)


def test_files_that_are_no_face_tables(table: FaceTable, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; run `veil prepare`"):
        FaceTable.load(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(DataError, match="cannot be read"):
        FaceTable.load(tmp_path / "text.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="not a face table"):
        FaceTable.load(tmp_path / "other.parquet")
    table.save(tmp_path / "cut.parquet")
    content = (tmp_path / "cut.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        FaceTable.load(tmp_path / "cut.parquet")


def test_failure_while_writing_leaves_the_old_file(rows: list[FaceRow], contract: CropContract, tmp_path: Path) -> None:
    path = tmp_path / "faces.parquet"
    write_rows(rows, path, contract)
    before = path.read_bytes()

    def interrupted() -> object:
        yield rows[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rows(interrupted(), path, contract)  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_folder_that_cannot_be_written(table: FaceTable, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write to .*file/cache: Not a directory"):
        table.save(tmp_path / "file" / "cache" / "faces.parquet")


def test_bad_rows_are_refused(rows: list[FaceRow], contract: CropContract) -> None:
    with pytest.raises(DataError, match="same image id"):
        FaceTable.from_rows([rows[0], rows[0]], contract)
    with pytest.raises(DataError, match=r"found float64 \(3, 64, 64\)"):
        FaceTable.from_rows([replace(rows[0], crop=np.zeros((3, 64, 64)))], contract)
    with pytest.raises(DataError, match="1 of 1 faces have no identity"):
        _ = FaceTable.from_rows([replace(rows[0], identity=None)], contract).identities
