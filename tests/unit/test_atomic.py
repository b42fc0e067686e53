"""Folders appear complete or not at all."""

from pathlib import Path

import pytest

from veil.atomic import folder_when_complete
from veil.errors import DataError


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
