"""The faces of a study: extra faces share the contract, show nobody under attack, and are covered by the hash."""

from pathlib import Path

import numpy as np
import pytest
from face_rows import make_row

from veil.config import DataConfig
from veil.errors import DataError, ProtocolError
from veil.faces.contract import CropContract
from veil.faces.storage import TableFolder
from veil.faces.study_faces import PreparedFaces, StudyFaces, draw_faces
from veil.faces.table import FaceRow, FaceTable

CONTRACT = CropContract("none", "0" * 64, {}, "none", "0" * 64)
PEOPLE = [
    make_row(number, split, split) for number, split in enumerate(["train", "train", "attacker", "search", "sealed"])
]
EXTRA = [make_row(10 + number, split, None) for number, split in enumerate(["train", "train", "search"])]
DATA = DataConfig.parse({"extra": [{"dataset": "fer2013"}, {"dataset": "folder"}, {"dataset": "folder"}]}, "test")


def write(path: Path, rows: list[FaceRow], contract: CropContract = CONTRACT) -> Path:
    folder = TableFolder(path, 8)
    folder.write_part(0, rows, [])
    folder.close(1, "test", str(path), contract, [], [])
    return path


@pytest.fixture
def people(tmp_path: Path) -> Path:
    return write(tmp_path / "people", PEOPLE)


def load(people: Path, *extra: Path) -> StudyFaces:
    data = DATA.model_copy(update={"extra": DATA.extra[: len(extra)]})
    return StudyFaces.load(data, PreparedFaces(people, extra))


def test_every_set_keeps_its_name_and_gives_its_train_part(people: Path, tmp_path: Path) -> None:
    sets = [write(tmp_path / name, rows) for name, rows in (("a", EXTRA), ("b", EXTRA[:1]), ("c", EXTRA[2:]))]
    faces = load(people, *sets)
    assert list(faces.extra) == ["fer2013", "folder", "folder-3"]
    assert [table.image_ids for table in faces.extra_to_train_on] == [["i10", "i11"], ["i10"]]


def test_hash_covers_the_extra_faces_and_is_that_of_the_people_without(people: Path, tmp_path: Path) -> None:
    alone = load(people)
    assert alone.data_hash == alone.people.data_hash
    hashes = {load(people, write(tmp_path / str(count), EXTRA[:count])).data_hash for count in (1, 2, 3)}
    assert len(hashes | {alone.data_hash}) == 4


def test_crops_of_another_contract_are_refused_in_one_sentence(people: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", EXTRA, CropContract("other", "1" * 64, {}, "none", "0" * 64))
    with pytest.raises(DataError, match="crops of different contracts never mix"):
        load(people, other)


@pytest.mark.parametrize(("shared", "refused"), [(0, False), (2, True), (3, True), (4, True)])
def test_photographs_of_judged_people_never_train(people: Path, tmp_path: Path, shared: int, refused: bool) -> None:
    copy = make_row(20, "train", None, source_sha256=PEOPLE[shared].source_sha256)
    extra = write(tmp_path / "extra", [*EXTRA, copy])
    if refused:
        with pytest.raises(ProtocolError, match=r"1 extra faces of 'fer2013'.*/faces/20.png.*data.extra"):
            load(people, extra)
    else:
        assert len(load(people, extra).extra_to_train_on[0]) == 3


def test_draws_depend_on_seed_and_names_alone_and_grow() -> None:
    rows = [make_row(number, "search", None) for number in range(12)]
    table, turned = (FaceTable.from_rows(order, CONTRACT) for order in (rows, rows[::-1]))
    few, more = (set(draw_faces(table, count, seed=0).image_ids) for count in (4, 7))
    assert len(few) == 4 and few < more
    assert set(draw_faces(turned, 4, seed=0).image_ids) == few != set(draw_faces(table, 4, seed=1).image_ids)
    assert draw_faces(table, 99, seed=0).image_ids == table.image_ids


def test_some_faces_of_a_table_keep_pixels_and_numbers() -> None:
    rows = [*PEOPLE, make_row(7, "search", None, pose=np.zeros(3), crop=None, landmarks68=None)]
    rows += [make_row(8, "search", "zoe", pose=np.ones(3))]
    table = FaceTable.from_rows(rows, CONTRACT)
    some = table.take([5, 0])
    np.testing.assert_array_equal(some.crops[:], table.crops[[5, 0]])
    assert some.image_ids == ["i08", "i00"] and some.undetected == 0
    np.testing.assert_array_equal(some.identity_indices, table.take([5, 0]).identity_indices)
    assert table.has([]).all() and table.has(["landmarks68"]).all()
    assert table.has(["landmarks68", "pose"]).tolist() == [False] * 5 + [True]
