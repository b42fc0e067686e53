"""From datasets to tables: true faces, cache, resumption in this process, and all that can be wrong with the input."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from veil.cli import app
from veil.config import DataConfig, ExtraFacesConfig, SplitConfig
from veil.datasets.dataset import SourceImage
from veil.datasets.splits import Splits, split_identities
from veil.errors import ConfigError, DataError
from veil.faces.storage import SEVERAL_PEOPLE, read_summary
from veil.faces.table import FaceTable
from veil.preparing import Workforce, main_faces, prepare, prepare_extra, prepare_faces
from veil.preparing.plan import draw_training_images

SPLITS = SplitConfig(train=2, attacker=2, search=2, sealed=2)
HERE = Workforce(workers=1)


def config_for(root: Path, **changes: object) -> DataConfig:
    return DataConfig(dataset="folder", root=root, splits=SPLITS).model_copy(update=changes)


Steps = list[tuple[int, int]]


@pytest.fixture(scope="module")
def prepared(people: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Steps]:
    steps: Steps = []
    path = prepare(config_for(people), tmp_path_factory.mktemp("cache"), lambda *step: steps.append(step))
    return path, steps


@pytest.mark.data
def test_true_faces_become_rows(prepared: tuple[Path, Steps]) -> None:
    path, steps = prepared
    assert steps == [(done, 17) for done in range(1, 18)]
    table = FaceTable.load(path)
    assert (len(table), table.undetected, table.without_landmarks) == (16, 1, 0)
    splits = split_identities([f"s{number}" for number in range(1, 9)], SPLITS, seed=0)
    assert dict(zip(table.rows["identity"].to_pylist(), table.rows["split"].to_pylist(), strict=True)) == splits
    assert table.undetected_by_split()[splits["s3"]] == 1
    black = table.rows.to_pylist()[table.rows["image_id"].to_pylist().index("s3/black.png")]
    assert (black["crop"], dict(black["missing"])) == (None, {"crop": "no face found"})
    assert {name: split.faces for name, split in read_summary(path).splits.items()} == dict.fromkeys(splits.values(), 4)


@pytest.mark.data
def test_a_second_run_finds_it_ready(people: Path, prepared: tuple[Path, Steps]) -> None:
    path, _ = prepared
    before = {entry.name: entry.stat().st_mtime_ns for entry in path.iterdir()}
    steps: Steps = []
    again = prepare_faces(
        main_faces(config_for(people)), config_for(people), path.parent, lambda *step: steps.append(step)
    )
    assert (again.path, again.images, again.summary) == (path, 0, read_summary(path))
    assert steps == [(17, 17)]
    assert {entry.name: entry.stat().st_mtime_ns for entry in path.iterdir()} == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.data
@pytest.mark.usefixtures("small_parts")
def test_a_stopped_run_goes_on_where_it_stopped(people: Path, prepared: tuple[Path, Steps], tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(config_for(people), tmp_path, stop, HERE)
    (path,) = tmp_path.iterdir()
    kept = {entry.name: entry.stat().st_mtime_ns for entry in path.glob("part-*")}
    assert len(kept) == 2 * 2, "parts of 4 images, of which 2 were finished"
    with pytest.raises(DataError, match="not complete, 2 of its parts are there"):
        FaceTable.load(path)
    # A part that was damaged meanwhile is made again.
    damaged = path / "part-00001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:100])
    steps: Steps = []
    assert prepare(config_for(people), tmp_path, lambda *step: steps.append(step), HERE) == path
    assert steps == [(done, 17) for done in range(4, 18)]
    assert (path / "part-00000.parquet").stat().st_mtime_ns == kept["part-00000.parquet"]
    table, whole = FaceTable.load(path), FaceTable.load(prepared[0])
    assert table.data_hash == whole.data_hash
    assert table.rows["image_id"].to_pylist() == whole.rows["image_id"].to_pylist()
    np.testing.assert_array_equal(table.crops, whole.crops)
    np.testing.assert_array_equal(table.parsing, whole.parsing)


@pytest.mark.data
def test_the_cache_key_covers_splits(people: Path, prepared: tuple[Path, Steps], tmp_path: Path) -> None:
    path, _ = prepared
    reseeded = prepare(config_for(people, split_seed=1), tmp_path)
    assert reseeded.name != path.name
    table, other = FaceTable.load(path), FaceTable.load(reseeded)
    assert table.contract_hash == other.contract_hash
    assert table.data_hash != other.data_hash, "the same faces in other splits are other data"
    np.testing.assert_array_equal(table.crops, other.crops)


@pytest.mark.data
def test_extra_faces_share_the_contract_and_are_as_many_as_asked_for(people: Path, tmp_path: Path) -> None:
    extra = (ExtraFacesConfig(dataset="folder", root=people, images=2),)
    config = config_for(people, extra=extra)
    (path,) = prepare_extra(config, tmp_path)
    summary = read_summary(path)
    assert {name: split.images for name, split in summary.splits.items()} == {"train": 2}, "nobody in them is judged"
    assert prepare(config, tmp_path) != path
    assert read_summary(prepare(config, tmp_path)).contract_hash == summary.contract_hash


def test_training_images_are_drawn_by_their_names_alone() -> None:
    def image(number: int, split: str) -> SourceImage:
        return SourceImage(f"i{number}", None, f"/i{number}", bytes, split=split)

    images = tuple(image(number, "train" if number % 4 else "sealed") for number in range(40))
    few, more = (draw_training_images(images, Splits({}), count, seed=0) for count in (5, 12))
    assert [sum(one.split == "train" for one in drawn) for drawn in (few, more)] == [5, 12]
    assert all(sum(one.split == "sealed" for one in drawn) == 10 for drawn in (few, more))
    assert {one.image_id for one in few} < {one.image_id for one in more}
    assert [one.image_id for one in more] == [one.image_id for one in images if one in more], "order is kept"
    reversed_ids = {one.image_id for one in draw_training_images(images[::-1], Splits({}), 5, seed=0)}
    assert reversed_ids == {one.image_id for one in few}
    assert {one.image_id for one in draw_training_images(images, Splits({}), 5, seed=1)} != reversed_ids
    assert draw_training_images(images, Splits({}), 1000, seed=0) == images


@pytest.mark.data
def test_no_face_at_all(people: Path, tmp_path: Path) -> None:
    for person in range(8):
        for number in range(2):
            picture = np.full((60, 60, 3), person * 2 + number, np.uint8)
            (tmp_path / "dark" / f"p{person}").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "dark" / f"p{person}" / f"{number}.png"), picture)
    with pytest.raises(DataError, match=r"no face found in any of the 16 images .*'data\.detector'"):
        prepare(config_for(tmp_path / "dark"), tmp_path / "cache")
    (path,) = (tmp_path / "cache").iterdir()
    with pytest.raises(DataError, match="not complete"):
        FaceTable.load(path)


@pytest.mark.data
def test_odd_files_are_handled_or_named_and_the_run_goes_on(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, outside = tmp_path / "людей 照片", tmp_path / "outside"
    names = ["Zoë Ångström", "王小明", "اسم", "with  two spaces", 'o\'neil & "sons"', "emoji 🙂", "[red]s7", "s8"]
    for number, name in enumerate(names, start=1):
        shutil.copytree(people / f"s{number}", root / name)
    (root / names[2] / "black.png").unlink()
    shutil.copytree(root / "s8", outside)
    photograph = cv2.imread(str(root / "s8" / "1.pgm"))
    wide = np.full((700, 20_000, 3), 128, np.uint8)
    wide[100:548, 9000:9368] = cv2.resize(photograph, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(root / "s8" / "panorama.jpg"), wide)
    frames = [Image.fromarray(photograph[..., ::-1]), Image.new("RGB", (92, 112))]
    frames[0].save(root / "s8" / "moving.gif", save_all=True, append_images=frames[1:])
    content = cv2.imencode(".jpg", photograph)[1].tobytes()
    (root / "王小明" / "截断 cut.jpg").write_bytes(content[: len(content) // 2])
    (root / "[red]s7" / "note.jpg").write_text("not a photograph")
    (root / "[red]s7" / "空 empty.png").touch()
    os.symlink(outside / "2.pgm", root / "with  two spaces" / "link to s8.pgm")
    os.symlink(tmp_path / "nowhere", root / "s8" / "broken link.png")

    monkeypatch.setenv("COLUMNS", "300")
    splits = "data.splits={train: 2, attacker: 2, search: 2, sealed: 2}"
    cached = {"VEIL_CACHE": str(tmp_path / "cache"), "VEIL_ASSETS_DIR": _assets()}
    settings = ("data.dataset=folder", f"data.root={root}", splits)
    result = CliRunner(env=cached).invoke(app, ["prepare", *(word for value in settings for word in ("--set", value))])
    assert result.exit_code == 0, (result.output, result.exception)
    (path,) = (tmp_path / "cache").glob("faces-*")
    table, summary = FaceTable.load(path), read_summary(path)
    reasons = {group.reason: group.examples for group in summary.skipped}
    # The link shows a file of s8 under another name: both copies are out.
    assert len(reasons.pop(SEVERAL_PEOPLE)) == 2
    assert len(reasons) == 4, reasons
    for name in ("截断 cut.jpg", "note.jpg", "空 empty.png", "broken link.png"):
        assert any(name in path for paths in reasons.values() for path in paths), name
        assert name in result.output.replace("\n", ""), "named in the summary"
    assert set(table.identities) == set(names)
    assert len(table) == 8 * 2 - 1 + 2, "all photographs but the copy, with the panorama's and the animation's faces"
    inside = (slice(None), slice(30, 105), slice(30, 82))
    panorama, original = (
        table.crops[table.image_ids.index(f"s8/{name}")][inside].astype(float) for name in ("panorama.jpg", "1.pgm")
    )
    assert np.abs(panorama - original).mean() < 10, "the same face, found in a very large picture"


def _assets() -> str:
    """The folder where assets lie already, for a process whose cache is another one."""
    from veil.assets import fetch

    return str(fetch("yunet").parent)


@pytest.mark.data
def test_a_cache_that_cannot_be_written(people: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write to .*file/cache"):
        prepare(config_for(people), tmp_path / "file" / "cache")


@pytest.mark.data
def test_too_few_people_and_unknown_names(people: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 8 people, but the splits need 40"):
        prepare(config_for(people, splits=SplitConfig()), tmp_path)
    for setting, known in (("dataset", "orl"), ("detector", "yunet"), ("parsing", "polygons")):
        with pytest.raises(ConfigError, match=f"{known}y.*did you mean '{known}'"):
            prepare(config_for(people, **{setting: f"{known}y"}), tmp_path)
