"""Listing folders and archives: what is found, what is passed over, and what is said about it."""

import os
import pickle
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veil.datasets.dataset import CHUNK, LayoutError, PackedImages, SourceImage, make_dataset
from veil.datasets.files import Files, list_files, numbered_lines
from veil.errors import DataError


def write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def pack(path: Path, *names: str, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name in names:
            archive.writestr(name, name.encode() * 50)
    return path


def reasons(files: Files) -> dict[str, str]:
    return {Path(item.path).relative_to(files.root).as_posix(): item.reason for item in files.skipped}


NAMES = ("ann/1.jpg", "ann/2019/été 1.jpg", "李明/照片 一.jpg", "o'neil, pat/a b.jpg", "ann.jpg")


@pytest.mark.parametrize("packed", [False, True])
def test_names_of_all_kinds_are_listed_read_and_pickled(tmp_path: Path, packed: bool) -> None:
    junk = (".hidden/1.jpg", "ann/.DS_Store", "ann/Thumbs.db", "__MACOSX/ann/1.jpg", "ann/@eaDir/1.jpg")
    root = pack(tmp_path / "a.zip", *junk, *NAMES) if packed else write(tmp_path / "a", *junk, *NAMES)
    files = list_files(root)
    assert files.names == sorted(NAMES)
    assert files.skipped == []
    for name in files.names:
        image = files.image(name, image_id=name, identity=None, split="train")
        elsewhere = pickle.loads(pickle.dumps(image))  # noqa: S301, as on the way to a worker process
        assert elsewhere.read() == name.encode() * (50 if packed else 1)
        assert image.path == (f"{root}!{name}" if packed else str(root / name))


def test_fingerprint_notices_edits_additions_and_names(tmp_path: Path) -> None:
    root = write(tmp_path, "ann/1", "ann/2")
    seen = [list_files(root).fingerprint]
    assert list_files(root).fingerprint == seen[0]
    os.utime(root / "ann/1", ns=(1, 1))
    seen.append(list_files(root).fingerprint)
    (root / "ann/2").rename(root / "ann/3")
    seen.append(list_files(root).fingerprint)
    write(root, "ann/4")
    seen.append(list_files(root).fingerprint)
    assert len(set(seen)) == 4
    one, other = pack(tmp_path / "1.zip", "a"), pack(tmp_path / "2.zip", "a", compression=zipfile.ZIP_STORED)
    assert list_files(one).fingerprint == list_files(other).fingerprint, "the same content, packed otherwise"
    assert list_files(pack(tmp_path / "3.zip", "b")).fingerprint != list_files(one).fingerprint


def test_links_are_followed_once(tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere", "3.jpg", "deep/4.jpg")
    root = write(tmp_path / "root", "ann/1.jpg", "bob/2.jpg")
    (root / "cid").symlink_to(elsewhere)
    (root / "bob/of ann.jpg").symlink_to(root / "ann/1.jpg")
    (root / "Aaron").symlink_to(root / "ann")
    (root / "ann/up").symlink_to(root)
    (root / "bob/self").symlink_to("self")
    (root / "bob/gone.jpg").symlink_to("nowhere")
    files = list_files(root)
    assert files.names == ["ann/1.jpg", "bob/2.jpg", "bob/of ann.jpg", "cid/3.jpg", "cid/deep/4.jpg"]
    assert reasons(files) == {
        "Aaron": f"a link to a folder that is listed already: {root}/ann/",
        "ann/up": f"a link to a folder that is listed already: {root}/",
        "bob/self": "cannot be opened: Too many levels of symbolic links",
        "bob/gone.jpg": "cannot be opened: No such file or directory",
    }


def test_what_is_no_file_or_has_no_name(tmp_path: Path) -> None:
    root = write(tmp_path / "root", "ann/1.jpg")
    os.mkfifo(root / "ann/pipe")
    with open(os.fsencode(root) + b"/ann/caf\xe9.jpg", "wb"):
        pass
    files = list_files(root)
    assert files.names == ["ann/1.jpg"]
    assert reasons(files) == {
        "ann/pipe": "neither a file nor a folder",
        "ann/caf\\xe9.jpg": "its name is not valid UTF-8",
    }


def test_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "root", "ann/1.jpg", "bob/1.jpg")
    listing = os.scandir

    def refuse(path: str) -> object:
        if str(path).rstrip("/").endswith(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    # Permission bits do not stop root, who runs many containers.
    monkeypatch.setattr(os, "scandir", refuse)
    closed = "bob"
    files = list_files(root)
    assert (files.names, reasons(files)) == (
        ["ann/1.jpg"],
        {"bob": "a folder that cannot be listed: Permission denied"},
    )
    closed = "root"
    with pytest.raises(DataError, match=r"cannot list the folder .*root: Permission denied; check its permissions"):
        list_files(root)


def test_members_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr("1.jpg", b"first")
        archive.writestr("1.jpg", b"second")
        archive.writestr("2.jpg", b"x", compress_type=zipfile.ZIP_BZIP2)
        archive.writestr("3.jpg", b"locked")
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\1\2") + 8] |= 1  # general purpose flag "encrypted" of the last directory entry
    path.write_bytes(content)
    files = list_files(path)
    assert files.names == ["1.jpg"]
    assert [(Path(item.path).name, item.reason) for item in files.skipped] == [
        ("a.zip!1.jpg", "stands twice in the archive"),
        ("a.zip!2.jpg", "compressed by another method than deflate"),
        ("a.zip!3.jpg", "encrypted"),
    ]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archive_damaged_or_replaced_after_listing(tmp_path: Path, compression: int) -> None:
    path = pack(tmp_path / "a.zip", "first.jpg", "second.jpg", compression=compression)
    first, second = (list_files(path).image(name, name, None).read for name in ("first.jpg", "second.jpg"))
    content = bytearray(path.read_bytes())
    content[len(b"first.jpg") + 30 + 4] ^= 0xFF  # the local header takes 30 bytes and the name
    path.write_bytes(content)
    with pytest.raises(OSError, match="damaged in the archive"):
        first()
    assert second() == b"second.jpg" * 50
    pack(path, "other.jpg", "another.jpg", compression=compression)
    with pytest.raises(OSError, match="damaged in the archive"):
        second()
    path.write_bytes(b"")
    with pytest.raises(OSError, match="damaged in the archive"):
        second()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        second()


def test_neither_folder_nor_archive(tmp_path: Path) -> None:
    path = tmp_path / "people.tgz"
    path.write_text("not an archive")
    with pytest.raises(DataError, match=r"people.tgz: neither a folder nor a readable zip archive .*; unpack it"):
        list_files(path)


def test_lines_of_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeffa 1\n\n caf\u00e9  2 \n".encode() + b"\xff\n")
    assert list(numbered_lines(path)) == [(1, ["a", "1"]), (3, ["café", "2"]), (4, ["\ufffd"])]
    with pytest.raises(DataError, match=r"cannot read .*absent.txt: No such file"):
        list(numbered_lines(tmp_path / "absent.txt"))


def test_a_long_listing_takes_little_memory(tmp_path: Path) -> None:
    count = 3_000
    names = [f"Person_{number // 20:05d}/Person_{number // 20:05d}_{number:06d}.jpg" for number in range(count)]
    archive = tmp_path / "many.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name in names:
            packed.writestr(name, b"")
    for files in (Files(tmp_path / "a folder of some length", names, ""), list_files(archive)):
        tracemalloc.start()
        images = PackedImages(files.image(name, image_id=name, identity=name.split("/")[0]) for name in files.names)
        size, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(images) == count
        assert size / count < 200, "bytes that are kept of each image; unpacked it is twice as many"
        assert peak - size < 1e6, "images are never held all at once"


@given(st.data())
def test_packed_images_are_a_sequence(data: st.DataObject) -> None:
    plain = tuple(SourceImage(f"{number:04d}", None, "somewhere", bytes) for number in range(2 * CHUNK + 3))
    packed = PackedImages(iter(plain))
    index = data.draw(st.one_of(st.integers(-len(plain), len(plain) - 1), st.slices(len(plain))))
    assert packed[index] == plain[index]
    assert tuple(packed) == plain
    assert tuple(reversed(packed)) == plain[::-1]
    with pytest.raises(IndexError):
        packed[len(plain)]
    assert not PackedImages([])


def test_images_in_any_order_are_sorted() -> None:
    plain = [SourceImage(f"{number:04d}", None, "somewhere", bytes) for number in range(CHUNK + 3)]
    assert list(make_dataset("mine", plain[::-1], "").images) == plain
    with pytest.raises(LayoutError, match="found both somewhere and somewhere, which are '0000'"):
        make_dataset("mine", [*plain, plain[0]], "")
