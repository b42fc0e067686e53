"""Dataset readers, and what a user is told about folders and files that cannot be used."""

import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from veil.assets import fetch
from veil.datasets.dataset import check_images
from veil.errors import AssetError, DataError
from veil.faces.images import decode_image
from veil.registry import datasets


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 6, 3), dtype=np.uint8)


@pytest.fixture
def people_folder(tmp_path: Path) -> Path:
    """Two people with two images each, in different formats and depths."""
    root = tmp_path / "people"
    (root / "ann" / "2019").mkdir(parents=True)
    (root / "bob").mkdir()
    for seed, name in enumerate(["ann/1.png", "ann/2019/2.jpg", "bob/1.bmp", "bob/2.webp"]):
        Image.fromarray(picture(seed)).save(root / name)
    return root


def test_folder_reads_any_format_at_any_depth(people_folder: Path) -> None:
    (people_folder / "README.txt").write_text("beside the people: ignored")
    (people_folder / "ann" / ".DS_Store").write_text("ignored")
    dataset = datasets.get("folder")(people_folder)
    assert [(image.image_id, image.identity) for image in dataset.images] == [
        ("ann/1.png", "ann"),
        ("ann/2019/2.jpg", "ann"),
        ("bob/1.bmp", "bob"),
        ("bob/2.webp", "bob"),
    ]
    assert dataset.identities == ["ann", "bob"]
    assert set(check_images(dataset.images, "here")) == {image.image_id for image in dataset.images}


def test_fingerprint_notices_changes(people_folder: Path) -> None:
    read = datasets.get("folder")
    before = read(people_folder).fingerprint
    assert read(people_folder).fingerprint == before
    Image.fromarray(picture(9)).save(people_folder / "bob" / "3.png")
    added = read(people_folder).fingerprint
    assert added != before
    os.utime(people_folder / "bob" / "3.png", ns=(1, 1))
    assert read(people_folder).fingerprint not in (before, added)


def test_folder_needs_a_root() -> None:
    with pytest.raises(DataError, match=r"'data\.root'"):
        datasets.get("folder")(None)


@pytest.mark.parametrize("name", ["folder", "orl"])
def test_missing_root(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent does not exist; set 'data\.root'"):
        datasets.get(name)(tmp_path / "absent")


@pytest.mark.parametrize("name", ["folder", "orl"])
def test_empty_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "ann").mkdir()
    with pytest.raises(DataError, match=r"found no .*'data\.root'"):
        datasets.get(name)(tmp_path)


def test_file_in_place_of_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "people"
    path.write_text("not a folder")
    with pytest.raises(DataError, match="is a file, expected a folder"):
        datasets.get("folder")(path)
    with pytest.raises(DataError, match="not a readable zip archive"):
        datasets.get("orl")(path)


def test_unreadable_folder(people_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("bob"):
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    # Permission bits do not stop root, who runs many containers.
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"cannot list the folder .*bob: Permission denied; check its permissions"):
        datasets.get("folder")(people_folder)


def test_all_files_that_are_no_images_are_named(people_folder: Path) -> None:
    (people_folder / "ann" / "notes.txt").write_text("hello")
    (people_folder / "bob" / "empty.png").touch()
    (people_folder / "bob" / "gone.png").symlink_to("nowhere")
    jpeg = (people_folder / "ann" / "2019" / "2.jpg").read_bytes()
    (people_folder / "bob" / "cut.jpg").write_bytes(jpeg[:30])
    dataset = datasets.get("folder")
    with pytest.raises(DataError, match=r"gone\.png cannot be opened: No such file"):
        dataset(people_folder)
    (people_folder / "bob" / "gone.png").unlink()
    with pytest.raises(DataError) as caught:
        check_images(dataset(people_folder).images, "here")
    message = str(caught.value)
    assert "here: 3 of 7 files cannot be read as images" in message
    assert "notes.txt (not an image)" in message
    assert "empty.png (empty file)" in message
    assert "cut.jpg (damaged or cut off)" in message


def test_one_file_under_two_people(people_folder: Path) -> None:
    (people_folder / "bob" / "copy.png").write_bytes((people_folder / "ann" / "1.png").read_bytes())
    with pytest.raises(DataError, match=r"several people \(ann and bob\)"):
        check_images(datasets.get("folder")(people_folder).images, "here")


def test_orl_from_folder_and_zip_agree(tmp_path: Path) -> None:
    archive = tmp_path / "att_faces.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for seed, name in enumerate(["s1/1.pgm", "s1/10.pgm", "s2/1.pgm", "s2/2.pgm"]):
            content = cv2.imencode(".pgm", picture(seed)[..., 0])[1].tobytes()
            packed.writestr(f"att/{name}", content)
            (tmp_path / "orl" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "orl" / name).write_bytes(content)
        packed.writestr("att/s1/target.jpg", b"not one of the ten")
    from_zip, from_folder = datasets.get("orl")(archive), datasets.get("orl")(tmp_path / "orl")
    assert [image.image_id for image in from_zip.images] == ["s1/1", "s1/10", "s2/1", "s2/2"]
    assert check_images(from_zip.images, "zip") == check_images(from_folder.images, "folder")


@pytest.mark.data
def test_orl_asset() -> None:
    try:
        fetch("orl_faces")
    except AssetError as error:
        pytest.skip(str(error))
    dataset = datasets.get("orl")(None)
    assert len(dataset.images) == 400
    assert len(dataset.identities) == 40
    shapes = {decode_image(image.read()).shape for image in dataset.images}
    assert shapes == {(112, 92, 3)}
    assert len(set(check_images(dataset.images, "orl").values())) == 400
