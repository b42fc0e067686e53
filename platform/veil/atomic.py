"""Files and folders that appear complete or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from veil.errors import DataError


def require_writable(folder: Path) -> None:
    """Create a folder and a file in it, so that a long computation does not end in a refusal.

    Raises:
        DataError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {error.strerror or error}; choose another folder") from error


@contextmanager
def replace_when_complete(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its place when the block ends without an error.

    Raises:
        DataError: the folder cannot be written.
    """
    require_writable(path.parent)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_when_complete(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path` that takes its place when the block ends without an error.

    Args:
        path: must not exist, or be an empty folder.

    Raises:
        DataError: the folder holds something already, or cannot be written.
    """
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            what = "holds files already" if path.is_dir() else "is a file"
            raise DataError(f"{path} {what}; choose a new folder or an empty one")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
            temporary = Path(scratch) / path.name
            temporary.mkdir()
            yield temporary
            if path.exists():
                path.rmdir()
            temporary.rename(path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error
