"""What every dataset reader returns."""

import pickle
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice, pairwise
from typing import Any, NamedTuple, overload

import numpy as np

from veil.errors import DataError

CHUNK = 256
"""Images that are packed together."""

SHOWN = 5
"""How many offenders an error message lists."""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image of a dataset; picklable, as it is made here and read in another process.

    Attributes:
        image_id: unique in the dataset, for example "s1/10".
        identity: who is shown; None where the dataset does not say.
        path: where the file is, for people; a member of an archive is "archive.zip!member".
        read: returns the bytes of the file; an OSError says why it cannot.
        expression: its label, one of `veil.interfaces.EXPRESSIONS`; None where the dataset has none.
        label_distribution: share of annotators per class, float (7,) in that order; None where the dataset has none.
        split: part that the dataset itself puts the image in: "train", "search" (published validation part) or
            "sealed" (published test part). Set where identities are unknown, None where people are to be split.
        read_parsing: returns the dataset's own parsing map, uint8 (H, W) with the numbers of
            `veil.interfaces.FACE_PARTS`, of the whole image at any resolution; an OSError says why it cannot. None
            where the dataset has none.
    """

    image_id: str
    identity: str | None
    path: str
    read: Callable[[], bytes] = field(repr=False)
    expression: str | None = None
    label_distribution: tuple[float, ...] | None = None
    split: str | None = None
    read_parsing: Callable[[], np.ndarray] | None = field(default=None, repr=False)

    def __reduce__(self) -> tuple[type["SourceImage"], tuple[Any, ...]]:
        # Several times as fast as what a frozen dataclass with slots does of itself.
        return SourceImage, tuple(getattr(self, name) for name in SourceImage.__slots__)


class Skipped(NamedTuple):
    """A file or line of a dataset that is not used.

    Attributes:
        path: where it is, for people.
        reason: why, in a few words that group well ("not an image", "no face annotators agree on").
    """

    path: str
    reason: str


class PackedImages(Sequence[SourceImage]):
    """Images in little memory: pickled and compressed by the chunk, they take 10 to 40 bytes each instead of 400."""

    def __init__(self, images: Iterable[SourceImage]) -> None:
        self._chunks: list[bytes] = []
        self._length = 0
        self._unpacked: tuple[int, tuple[SourceImage, ...]] = (-1, ())
        remaining = iter(images)
        while chunk := tuple(islice(remaining, CHUNK)):
            self._chunks.append(zlib.compress(pickle.dumps(chunk), level=1))
            self._length += len(chunk)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> SourceImage: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[SourceImage, ...]: ...

    def __getitem__(self, index: int | slice) -> SourceImage | tuple[SourceImage, ...]:
        numbers = range(self._length)[index]
        if isinstance(numbers, int):
            return self._unpack(numbers // CHUNK)[numbers % CHUNK]
        by_chunk = groupby(numbers, key=lambda number: number // CHUNK)
        unpacked = ((self._unpack(chunk), members) for chunk, members in by_chunk)
        return tuple(images[number % CHUNK] for images, members in unpacked for number in members)

    def __iter__(self) -> Iterator[SourceImage]:
        for chunk in range(len(self._chunks)):
            yield from self._unpack(chunk)

    def _unpack(self, chunk: int) -> tuple[SourceImage, ...]:
        if self._unpacked[0] != chunk:
            content = zlib.decompress(self._chunks[chunk])
            self._unpacked = (chunk, pickle.loads(content))  # noqa: S301, as nothing but __init__ wrote it
        return self._unpacked[1]


@dataclass(frozen=True)
class Dataset:
    """Files of faces and who they show.

    Attributes:
        name: registered name.
        images: sorted by image id.
        fingerprint: changes whenever the files change; cheap to compute.
        skipped: what the reader found and does not use.
    """

    name: str
    images: Sequence[SourceImage]
    fingerprint: str
    skipped: tuple[Skipped, ...] = ()

    @property
    def identities(self) -> list[str]:
        """All people, sorted; empty if the dataset names nobody."""
        return sorted({image.identity for image in self.images if image.identity is not None})


class LayoutError(DataError):
    """What a reader looks for is not there; the message says only what was found."""


def make_dataset(
    name: str, images: Iterable[SourceImage], fingerprint: str, skipped: Iterable[Skipped] = ()
) -> Dataset:
    """Sort images, given in any order, into a dataset.

    Args:
        name: registered name.
        images: picklable. They are never held all at once if they come sorted by image id.
        fingerprint: see Dataset.
        skipped: looked at when all images have been, so that their making may still add to it.

    Raises:
        LayoutError: there are no images, or two of them go by one id.
    """
    packed = PackedImages(images)
    if any(image.image_id > after.image_id for image, after in pairwise(packed)):
        packed = PackedImages(sorted(packed, key=lambda image: image.image_id))
    for image, after in pairwise(packed):
        if image.image_id == after.image_id:
            raise LayoutError(f"found both {image.path} and {after.path}, which are {image.image_id!r}")
    dataset = Dataset(name, packed, fingerprint, tuple(skipped))
    if not packed:
        reasons = "; ".join(explain_skipped(dataset.skipped))
        raise LayoutError("found no usable image" + (f" ({reasons})" if reasons else ""))
    return dataset


def explain_skipped(skipped: Iterable[Skipped]) -> list[str]:
    """One phrase a reason, the most frequent first.

    >>> explain_skipped([Skipped("a.txt", "not an image"), Skipped("b", "empty"), Skipped("c.txt", "not an image")])
    ['2 × not an image: a.txt, c.txt', '1 × empty: b']
    """
    paths: dict[str, list[str]] = defaultdict(list)
    for item in skipped:
        paths[item.reason].append(item.path)
    ordered = sorted(paths.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return [f"{len(items)} × {reason}: {shorten(items)}" for reason, items in ordered]


def shorten(items: Sequence[str]) -> str:
    """Join the first few items.

    >>> shorten(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e and 2 more'
    """
    more = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {more} more" if more > 0 else "")
