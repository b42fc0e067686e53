"""From a dataset to a table: true faces, cache, and everything that can be wrong with the input."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from veil.assets import fetch
from veil.config import DataConfig, SplitConfig
from veil.datasets.splits import split_identities
from veil.errors import AssetError, ConfigError, DataError
from veil.faces.prepare import FIVE_AMONG_68, landmark_distance, prepare
from veil.faces.table import FaceTable
from veil.registry import datasets

SPLITS = SplitConfig(train=2, attacker=2, search=2, sealed=2)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people of ORL with two images each; one of them also has a black image without a face."""
    try:
        for name in ("orl_faces", "yunet", "face_api_landmark_68_bin", "face_api_landmark_68_manifest"):
            fetch(name)
    except AssetError as error:
        pytest.skip(str(error))
    root = tmp_path_factory.mktemp("people")
    images = datasets.get("orl")(None).images
    for image in images:
        person, number = image.image_id.split("/")
        if int(person[1:]) <= 8 and int(number) <= 2:
            (root / person).mkdir(exist_ok=True)
            (root / person / f"{number}.pgm").write_bytes(image.read())
    cv2.imwrite(str(root / "s3" / "black.png"), np.zeros((112, 92, 3), np.uint8))
    return root


def config_for(root: Path, **changes: object) -> DataConfig:
    return DataConfig(dataset="folder", root=root, splits=SPLITS).model_copy(update=changes)


@pytest.fixture(scope="module")
def prepared(people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, int]]]:
    steps: list[tuple[int, int]] = []
    path = prepare(config_for(people), tmp_path_factory.mktemp("cache"), lambda *step: steps.append(step))
    return path, steps


@pytest.mark.data
def test_true_faces_become_rows(prepared: tuple[Path, list[tuple[int, int]]]) -> None:
    path, steps = prepared
    assert steps == [(done, 17) for done in range(1, 18)]
    table = FaceTable.load(path)
    assert (len(table), table.undetected, table.without_landmarks) == (16, 1, 0)
    splits = split_identities([f"s{number}" for number in range(1, 9)], SPLITS, seed=0)
    assert dict(zip(table.rows["identity"].to_pylist(), table.rows["split"].to_pylist(), strict=True)) == splits
    assert table.undetected_by_split()[splits["s3"]] == 1
    black = table.rows.to_pylist()[table.rows["image_id"].to_pylist().index("s3/black.png")]
    assert black["crop"] is None
    assert dict(black["missing"]) == {"crop": "no face found"}
    assert sum(len(table.split(name)) for name in ("train", "attacker", "search", "sealed")) == 16


@pytest.mark.data
def test_landmarks_lie_where_the_template_says(prepared: tuple[Path, list[tuple[int, int]]]) -> None:
    table = FaceTable.load(prepared[0])
    assert (table.landmarks68 > -20).all()
    assert (table.landmarks68 < 132).all()
    distances = [landmark_distance(*pair) for pair in zip(table.landmarks68, table.landmarks5, strict=True)]
    assert np.median(distances) < 5
    # Aligned by these very points: what remains is how far a face's shape is from the template's.
    assert np.abs(table.landmarks5.mean(axis=1) - [56.0, 71.9]).max() < 1
    left, right = (table.landmarks68[:, list(places)].mean(axis=1) for places in FIVE_AMONG_68[:2])
    assert (left[:, 0] < right[:, 0]).all()


@pytest.mark.data
def test_second_run_is_a_cache_hit(people: Path, prepared: tuple[Path, list[tuple[int, int]]]) -> None:
    path, _ = prepared
    before = path.stat()
    steps: list[tuple[int, int]] = []
    assert prepare(config_for(people), path.parent, lambda *step: steps.append(step)) == path
    assert steps == [(17, 17)]
    assert path.stat() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.data
def test_cache_key_covers_splits_and_files(
    people: Path, prepared: tuple[Path, list[tuple[int, int]]], tmp_path: Path
) -> None:
    path, _ = prepared
    reseeded = prepare(config_for(people, split_seed=1), tmp_path)
    assert reseeded.name != path.name
    table, other = FaceTable.load(path), FaceTable.load(reseeded)
    assert table.contract_hash == other.contract_hash
    assert table.data_hash != other.data_hash, "the same faces in other splits are other data"
    np.testing.assert_array_equal(table.crops, other.crops)


@pytest.mark.data
def test_no_face_at_all(people: Path, tmp_path: Path) -> None:
    for person in range(8):
        for number in range(2):
            picture = np.full((60, 60, 3), person * 2 + number, np.uint8)
            (tmp_path / "dark" / f"p{person}").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "dark" / f"p{person}" / f"{number}.png"), picture)
    with pytest.raises(DataError, match=r"no face found in any of the 16 images .*'data\.detector'"):
        prepare(config_for(tmp_path / "dark"), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.data
def test_file_that_is_no_image(people: Path, tmp_path: Path) -> None:
    root = tmp_path / "people"
    for path in people.rglob("*.pgm"):
        (root / path.parent.name).mkdir(parents=True, exist_ok=True)
        (root / path.parent.name / path.name).write_bytes(path.read_bytes())
    (root / "s2" / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"1 of 17 files cannot be read as images: .*notes\.txt"):
        prepare(config_for(root), tmp_path / "cache")


@pytest.mark.data
def test_cache_that_cannot_be_written(people: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write to .*file/cache"):
        prepare(config_for(people), tmp_path / "file" / "cache")


@pytest.mark.data
def test_too_few_people_and_unknown_names(people: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 8 people, but the splits need 40"):
        prepare(config_for(people, splits=SplitConfig()), tmp_path)
    with pytest.raises(ConfigError, match="unknown dataset 'orll'; did you mean 'orl'"):
        prepare(config_for(people, dataset="orll"), tmp_path)
    with pytest.raises(ConfigError, match="unknown detector 'yunett'; did you mean 'yunet'"):
        prepare(config_for(people, detector="yunett"), tmp_path)


def test_landmark_distance_by_hand() -> None:
    points = np.zeros((68, 2))
    points[36:42], points[42:48], points[30], points[48], points[54] = (1, 1), (9, 1), (5, 5), (2, 9), (8, 9)
    five = np.array([[1, 1], [9, 1], [5, 5], [2, 9], [8, 9]], float)
    assert landmark_distance(points, five) == 0
    assert landmark_distance(points, five + np.array([3, 4])) == 5
    points[0] = np.nan
    assert np.isnan(landmark_distance(points, five))
