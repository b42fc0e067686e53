"""FaceTable: what comes back is what was put in, missing values stay missing, contracts never mix."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from veil.errors import DataError
from veil.faces.contract import CropContract
from veil.faces.table import FaceRow, FaceTable, images_to_tensor, tensor_to_images
from veil.interfaces import NO_PART


@pytest.fixture
def table(rows: list[FaceRow], contract: CropContract) -> FaceTable:
    return FaceTable.from_rows(rows, contract)


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


def test_signals_and_selections(rows: list[FaceRow], contract: CropContract) -> None:
    parsing = np.arange(112 * 112, dtype=np.uint32).reshape(112, 112).astype(np.uint8)
    measured = replace(rows[0], parsing=parsing, pose=np.array([1, 2, 3], np.float32), source_scale=2.5)
    table = FaceTable.from_rows([measured, *rows[1:]], contract)
    np.testing.assert_array_equal(table.parsing[0], parsing)
    assert (table.parsing[1:] == NO_PART).all()
    np.testing.assert_array_equal(table.pose[0], [1, 2, 3])
    assert np.isnan(table.pose[1:]).all()
    assert table.has({"parsing", "pose", "landmarks68"}).tolist() == [True, False, False, False, False]
    assert table.has(()).all()
    assert table.low_resolution == 1
    assert table.splits == ["search", "train"]
    taken = table.take([4, 0])
    assert taken.image_ids == ["i06", "i00"]
    np.testing.assert_array_equal(taken.crops, table.crops[[4, 0]])
    np.testing.assert_array_equal(taken.identity_indices, table.identity_indices[[4, 0]])


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
    changes = [
        {"image_id": "x"},
        {"identity": "x"},
        {"identity": None},
        {"split": "sealed"},
        {"crop": crop},
        {"expression_label": "sad"},
        {"label_distribution": [0, 0, 0, 0, 1, 0, 0]},
    ]
    hashes = {data_hash([replace(rows[0], **change), *rows[1:]]) for change in changes}
    assert len(hashes | {table.data_hash}) == 8
    assert data_hash([replace(rows[0], source_path="elsewhere"), *rows[1:]]) == table.data_hash


def test_bad_rows_are_refused(rows: list[FaceRow], contract: CropContract) -> None:
    with pytest.raises(DataError, match="same image id"):
        FaceTable.from_rows([rows[0], rows[0]], contract)
    with pytest.raises(DataError, match=r"crop must be uint8 \(3, 112, 112\), found float64 \(3, 64, 64\)"):
        FaceTable.from_rows([replace(rows[0], crop=np.zeros((3, 64, 64)))], contract)
    with pytest.raises(DataError, match=r"parsing map must be uint8 \(112, 112\), found uint8 \(64, 64\)"):
        FaceTable.from_rows([replace(rows[0], parsing=np.zeros((64, 64), np.uint8))], contract)
    with pytest.raises(DataError, match="1 of 1 faces have no identity"):
        _ = FaceTable.from_rows([replace(rows[0], identity=None)], contract).identities
    with pytest.raises(DataError, match="1 of 1 faces have no identity"):
        _ = FaceTable.from_rows([replace(rows[0], identity=None)], contract).identity_indices
