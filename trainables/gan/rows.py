"""Several arrays as one, none of them copied."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Indexed(Protocol):
    """Anything whose rows are read by indexing, such as an array or pixels in files."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __len__(self) -> int: ...

    def __getitem__(self, key: np.ndarray) -> np.ndarray: ...


class Rows:
    """Rows of several arrays one after another; what is indexed is read, and nothing else.

    Args:
        parts: at least one, with equal shapes behind the first axis, and of one type.
    """

    def __init__(self, parts: Sequence[Indexed]) -> None:
        self._parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, key: np.ndarray | slice) -> np.ndarray:
        """Rows in the order asked for.

        Args:
            key: int (B,), or a slice.
        """
        positions = np.arange(len(self))[key]
        owners = np.searchsorted(self._ends, positions, side="right")
        first = self._parts[0]
        found = np.empty((len(positions), *first.shape[1:]), first.dtype)
        for number in np.unique(owners):
            chosen = owners == number
            start = self._ends[number] - len(self._parts[number])
            found[chosen] = self._parts[number][positions[chosen] - start]
        return found
