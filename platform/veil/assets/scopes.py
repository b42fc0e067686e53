"""Where assets come from for a while, and which of them are asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_only: ContextVar[Path | None] = ContextVar("only", default=None)
_watched: ContextVar[set[Path] | None] = ContextVar("watched", default=None)


@contextmanager
def assets_only_from(folder: Path | None) -> Iterator[None]:
    """Within the block, take every asset from one folder and fetch none; None takes them from where they always come.

    For models that carry the nets they look through.
    """
    token = _only.set(folder)
    try:
        yield
    finally:
        _only.reset(token)


@contextmanager
def watch_assets() -> Iterator[set[Path]]:
    """Collect the files of the assets that are asked for within the block."""
    watched: set[Path] = set()
    token = _watched.set(watched)
    try:
        yield watched
    finally:
        _watched.reset(token)


def only_folder() -> Path | None:
    """The one folder that assets come from; None outside `assets_only_from`."""
    return _only.get()


def note(path: Path) -> Path:
    """Return the file of an asset that was asked for, for whoever watches."""
    watched = _watched.get()
    if watched is not None:
        watched.add(path)
    return path
