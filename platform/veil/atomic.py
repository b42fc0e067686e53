"""Files and folders that appear complete or not at all, and disks that take no more of them."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

from veil.errors import DataError, StorageError

_STORAGE_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)


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


@contextmanager
def storage_faults_named(folder: Path) -> Iterator[None]:
    """Turn whatever a full or broken disk makes a block raise into one error that says so.

    Args:
        folder: that the block writes to.

    Raises:
        StorageError: the disk is full, over its quota, read-only, broken or gone.
    """
    try:
        yield
    except Exception as error:
        fault = storage_fault(error)
        if fault is None or isinstance(error, StorageError):
            raise
        free = ", ".join(f"{shutil.disk_usage(path).free / 1e6:.0f} MB in {path}" for path in (folder, gettempdir()))
        raise StorageError(
            f"cannot write to {folder}: {fault} (free: {free}); make room, then run `veil resume {folder.name}`"
        ) from error


def storage_fault(error: BaseException | None) -> str | None:
    """What is wrong with a disk, if that is what an error, or one that caused it, is about."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _STORAGE_FAULTS:
            return os.strerror(error.errno)
        # Libraries that write by themselves (safetensors, torch) keep no more than the words.
        if os.strerror(errno.ENOSPC) in str(error):
            return os.strerror(errno.ENOSPC)
        error = error.__cause__ or error.__context__
    return None
