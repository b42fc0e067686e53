"""Making one part of a table, in whichever process."""

import resource
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from veil.datasets.dataset import Skipped, SourceImage
from veil.errors import DataError
from veil.faces.rows import FaceRow
from veil.faces.storage import TableFolder
from veil.preparing.plan import Recipe


class PartResult(NamedTuple):
    """A part that is on disk.

    Attributes:
        images: files that were read.
        faces: faces that were found.
        peak_bytes: largest memory so far of the process that made it.
    """

    images: int
    faces: int
    peak_bytes: int


class PartMaker:
    """Makes parts; loads its nets once.

    Args:
        recipe: how faces are found.
        contract_hash: what the recipe must amount to.
        folder: where parts go.

    Raises:
        DataError: the nets on this machine amount to another crop contract.
        AssetError: weights cannot be had.
    """

    def __init__(self, recipe: Recipe, contract_hash: str, folder: TableFolder) -> None:
        self._preparation = recipe.load()
        self._folder = folder
        if (found := self._preparation.contract.hash) != contract_hash:
            raise DataError(
                f"a worker's nets amount to crop contract {found}, expected {contract_hash}: its machine has other "
                "weights; give all machines the same VEIL_ASSETS_DIR"
            )

    def make(
        self, part: int, images: Sequence[tuple[SourceImage, str]], progress: Callable[[], None] = lambda: None
    ) -> PartResult:
        """Make one part.

        Args:
            part: its number.
            images: each with its split.
            progress: called after each image.

        Raises:
            DataError: the folder cannot be written, or is full.
        """
        rows: list[FaceRow] = []
        skipped: list[Skipped] = []
        for item in self._preparation.rows(images):
            if isinstance(item, FaceRow):
                rows.append(item)
            else:
                skipped.append(item)
            progress()
        self._folder.write_part(part, rows, skipped)
        return PartResult(len(images), sum(row.crop is not None for row in rows), peak_memory())


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
