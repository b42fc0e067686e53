"""Pixels of many faces, in memory or in files that are mapped into it: only what is asked for is read."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from veil.faces.rows import PIXEL_SHAPE

_OPEN_FILES = 256
"""Files that stay mapped: each holds a file descriptor, of which a process may have as few as 1024."""


class PixelStore:
    """Pixels of a table, uint8 (4, 112, 112) a face, in one or several arrays.

    Args:
        parts: arrays, or `.npy` files, uint8 (F, 4, 112, 112) each.
        capacity: face number n is face n % capacity of part n // capacity.
    """

    def __init__(self, parts: Sequence[Path | np.ndarray], capacity: int) -> None:
        self._parts = tuple(parts)
        self._capacity = max(capacity, 1)
        self._open = lru_cache(_OPEN_FILES)(self._map_part)

    def __reduce__(self) -> tuple:
        """Files travel to other processes by their names."""
        return PixelStore, (self._parts, self._capacity)

    def read(self, numbers: np.ndarray, planes: int | slice) -> np.ndarray:
        """Read some planes of some faces.

        Args:
            numbers: int64 (B,).
            planes: which of red, green, blue and parsing map.

        Returns:
            uint8 (B, 112, 112) for one plane, (B, P, 112, 112) for several.
        """
        shape = np.empty(PIXEL_SHAPE, np.uint8)[planes].shape
        found = np.empty((len(numbers), *shape), np.uint8)
        parts, places = np.divmod(numbers, self._capacity)
        for part in np.unique(parts):
            chosen = parts == part
            found[chosen] = self._open(int(part))[places[chosen], planes]
        return found

    def _map_part(self, part: int) -> np.ndarray:
        stored = self._parts[part]
        return np.load(stored, mmap_mode="r", allow_pickle=False) if isinstance(stored, Path) else stored


class FacePixels:
    """The crops, or the parsing maps, of N faces as one read-only array of which only what is indexed is read.

    It has a length, a shape and a type, and is indexed along its first axis by whatever indexes an array, with further
    axes behind: `crops[3]`, `crops[10:20]`, `crops[indices]`, `crops[:, 0]`. `numpy.asarray(crops)` reads all of it.

    Args:
        store: where the pixels lie.
        numbers: int64 (N,), which faces.
        planes: what of them.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, store: PixelStore, numbers: np.ndarray, planes: int | slice) -> None:
        self._store = store
        self._numbers = numbers
        self._planes = planes
        self.shape: tuple[int, ...] = (len(numbers), *np.empty(PIXEL_SHAPE, np.uint8)[planes].shape)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, key: Any) -> np.ndarray:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        numbers = self._numbers[first]
        found = self._store.read(np.atleast_1d(numbers), self._planes)
        # The first axis is done with; what is left of the key applies to the others.
        return found[0][rest] if np.ndim(numbers) == 0 else found[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of it."""
        return self[:].astype(dtype or self.dtype, copy=False)
