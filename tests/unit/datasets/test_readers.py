"""Datasets of one folder per person, and what all readers say when their files are not there."""

import os
import unicodedata
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from veil.assets import fetch
from veil.cli import app
from veil.datasets.dataset import Skipped, explain_skipped
from veil.datasets.folder import list_person_files
from veil.datasets.reader import Reader
from veil.errors import AssetError, DataError
from veil.faces.images import decode_image
from veil.registry import datasets

DOWNLOADED = ["celeba", "celebamask_hq", "fer2013", "ferplus", "lfw"]


@pytest.fixture
def people_folder(tmp_path: Path) -> Path:
    """Two people, files at two depths."""
    root = tmp_path / "people"
    for name in ("ann/1.png", "ann/2019/2.jpg", "bob/1.bmp", "bob/2.webp"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_folder_takes_people_from_the_first_level(people_folder: Path) -> None:
    (people_folder / "README.txt").write_text("beside the people")
    dataset = datasets.get("folder")(people_folder)
    assert [(image.image_id, image.identity, image.split) for image in dataset.images] == [
        ("ann/1.png", "ann", None),
        ("ann/2019/2.jpg", "ann", None),
        ("bob/1.bmp", "bob", None),
        ("bob/2.webp", "bob", None),
    ]
    assert dataset.identities == ["ann", "bob"]
    assert dataset.images[0].read() == b"ann/1.png"
    assert dataset.skipped == (Skipped(str(people_folder / "README.txt"), "beside the folders of people"),)


@pytest.mark.parametrize(
    ("one", "other"), [("Ann", "ann"), ("Zoé", unicodedata.normalize("NFD", "Zoé")), ("Groß", "GROSS")]
)
def test_names_that_look_alike_are_refused(people_folder: Path, one: str, other: str) -> None:
    for name in (one, other):
        (people_folder / name).mkdir(exist_ok=True)
        (people_folder / name / "1.png").touch()
    if len({entry.name for entry in people_folder.iterdir()} & {one, other}) < 2:
        pytest.skip("this file system does not tell the two names apart")
    with pytest.raises(DataError, match=r"1 names of people differ only in case or in the encoding .*if they are one"):
        datasets.get("folder")(people_folder)


def test_list_person_files_leaves_nothing_out_quietly(people_folder: Path) -> None:
    (people_folder / "beside.txt").touch()
    listed = [path.relative_to(people_folder).as_posix() for path in list_person_files(people_folder)]
    assert listed == ["ann/1.png", "ann/2019/2.jpg", "bob/1.bmp", "bob/2.webp"]
    (people_folder / "bob/gone.png").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"gone.png: cannot be opened: No such file or directory; repair or remove it"):
        list_person_files(people_folder)


def test_skipped_are_explained_by_frequency() -> None:
    many = [Skipped(f"{number}.jpg", "not an image") for number in range(7)]
    assert explain_skipped([Skipped("x", "empty"), *many]) == [
        "7 × not an image: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 2 more",
        "1 × empty: x",
    ]


@pytest.mark.parametrize("name", [*DOWNLOADED, "folder"])
def test_root_not_set(name: str) -> None:
    with pytest.raises(DataError, match=r"needs the setting 'data\.root': ") as caught:
        datasets.get(name)(None)
    assert datasets.get(name).about.layout in str(caught.value)


@pytest.mark.parametrize("name", [*DOWNLOADED, "folder", "orl"])
def test_nothing_of_the_kind_is_there(name: str, tmp_path: Path) -> None:
    reader = datasets.get(name)
    assert isinstance(reader, Reader)
    (tmp_path / "ann").mkdir()
    (tmp_path / "notes.txt").write_text("neither")
    with pytest.raises(DataError, match=r"absent does not exist; set 'data\.root' to "):
        reader(tmp_path / "absent")
    with pytest.raises(DataError) as caught:
        reader(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: found n"), message
    assert f"; expected {reader.about.layout}; change 'data.root'" in message
    if reader.about.url:
        assert f"Get {reader.about.title} from {reader.about.url} ({reader.about.licence})" in message


def test_what_may_not_be_read_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    # Permission bits do not stop root, who runs many containers.
    monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(DataError, match=r"^cannot read .*celeba: Permission denied; check its permissions or change"):
        datasets.get("celeba")(tmp_path)


def test_every_dataset_to_be_downloaded_says_its_terms() -> None:
    assert {"folder", "orl", *DOWNLOADED} <= set(datasets.names())
    for name in [*DOWNLOADED, "orl"]:
        about = datasets.get(name).about
        assert about.url.startswith("https://"), name
        assert about.licence != "your own" and about.citation and about.content, name
    assert [name for name in [*DOWNLOADED, "folder", "orl"] if datasets.get(name).about.fetched] == ["orl"]


def test_orl_from_folder_and_zip_agree(tmp_path: Path) -> None:
    archive = tmp_path / "att_faces.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for seed, name in enumerate(["s1/1.pgm", "s1/10.pgm", "s2/1.pgm", "s2/2.pgm"]):
            content = cv2.imencode(".pgm", np.full((3, 2), seed, np.uint8))[1].tobytes()
            packed.writestr(f"att/{name}", content)
            (tmp_path / "orl" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "orl" / name).write_bytes(content)
        packed.writestr("att/s1/target.jpg", b"not one of the ten")
    from_zip, from_folder = datasets.get("orl")(archive), datasets.get("orl")(tmp_path / "orl")
    for dataset in (from_zip, from_folder):
        assert [image.image_id for image in dataset.images] == ["s1/1", "s1/10", "s2/1", "s2/2"]
        assert dataset.identities == ["s1", "s2"]
        assert [int(decode_image(image.read()).mean()) for image in dataset.images] == [0, 1, 2, 3]
    assert [item.reason for item in from_zip.skipped] == ["not named s<person>/<number>.pgm"]
    os.makedirs(tmp_path / "orl/copy/s1")
    (tmp_path / "orl/copy/s1/1.pgm").touch()
    with pytest.raises(DataError, match=r"found both .*s1/1.pgm and .*s1/1.pgm, which are 's1/1'"):
        datasets.get("orl")(tmp_path / "orl")


@pytest.mark.data
def test_orl_asset() -> None:
    try:
        fetch("orl_faces")
    except AssetError as error:
        pytest.skip(str(error))
    dataset = datasets.get("orl")(None)
    assert len(dataset.images) == 400
    assert len(dataset.identities) == 40
    contents = [image.read() for image in dataset.images]
    assert {decode_image(content).shape for content in contents} == {(112, 92, 3)}
    assert len(set(contents)) == 400


def test_datasets_command_shows_layouts_addresses_and_terms() -> None:
    result = CliRunner().invoke(app, ["datasets"])
    assert result.exit_code == 0
    shown = "".join(result.output.split())
    for name in datasets.names():
        about = getattr(datasets.get(name), "about", None)
        for text in about.rows().values() if about is not None else [name]:
            assert "".join(text.split()) in shown, name
