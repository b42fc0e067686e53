"""Folders appear complete or not at all."""

import errno
from pathlib import Path

import pytest

from veil.atomic import folder_when_complete, storage_faults_named
from veil.errors import DataError, StorageError


@pytest.mark.parametrize("exists", [False, True])
def test_a_new_or_empty_folder_is_filled_at_once(tmp_path: Path, exists: bool) -> None:
    out = tmp_path / "below" / "out"
    if exists:
        out.mkdir(parents=True)
    with folder_when_complete(out) as temporary:
        (temporary / "file").write_text("content")
        assert not exists or not any(out.iterdir())
    assert (out / "file").read_text() == "content"
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with folder_when_complete(tmp_path / "out") as temporary:
            (temporary / "file").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert not any(tmp_path.iterdir())


def test_what_is_in_use_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, message in (
        (tmp_path, "holds files already; choose a new folder or an empty one"),
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "below", "cannot write"),
    ):
        with pytest.raises(DataError, match=message), folder_when_complete(path):
            pytest.fail("the block must not run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_named_however_deep_it_lies(tmp_path: Path, error: Exception) -> None:
    said = r"No space left on device \(free: \d+ MB in .*veil resume mine"
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(StorageError, match=said), storage_faults_named(folder):
        try:
            raise error
        except (OSError, RuntimeError) as cause:
            raise DataError("cannot write a checkpoint") from cause
    with pytest.raises(StorageError, match="quota"), storage_faults_named(tmp_path):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")


def test_other_errors_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    for error in (FileNotFoundError(errno.ENOENT, "no file"), DataError("cannot write"), ValueError("space")):
        with pytest.raises(type(error)), storage_faults_named(tmp_path):
            raise error
