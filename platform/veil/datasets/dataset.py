"""What every dataset reader returns."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from veil.errors import DataError
from veil.faces.images import UnreadableImageError, decode_image

SHOWN = 5
"""How many offenders an error message lists."""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image of a dataset. Small and picklable: a million of them are held and sent to other processes.

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


class Skipped(NamedTuple):
    """A file or line of a dataset that is not used.

    Attributes:
        path: where it is, for people.
        reason: why, in a few words that group well ("not an image", "no face annotators agree on").
    """

    path: str
    reason: str


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
    images: tuple[SourceImage, ...]
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

    Raises:
        LayoutError: there are no images, or two of them go by one id.
    """
    dataset = Dataset(name, tuple(sorted(images, key=lambda image: image.image_id)), fingerprint, tuple(skipped))
    if not dataset.images:
        reasons = "; ".join(explain_skipped(dataset.skipped))
        raise LayoutError("found no usable image" + (f" ({reasons})" if reasons else ""))
    for image, other in pairwise(dataset.images):
        if image.image_id == other.image_id:
            raise LayoutError(f"found both {image.path} and {other.path}, which are {image.image_id!r}")
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


def several_people(files: Iterable[tuple[SourceImage, str]]) -> set[str]:
    """Hashes of files that lie in the dataset under more than one person.

    Nobody can tell whom such a file shows, and in two splits it would make one see the other: it is not used at all.

    Args:
        files: each image with the SHA-256 of its file.
    """
    owner: dict[str, str] = {}
    return {
        sha256
        for image, sha256 in files
        if image.identity is not None and owner.setdefault(sha256, image.identity) != image.identity
    }


def check_images(images: Iterable[SourceImage], where: str) -> dict[str, str]:
    """Open every file once, so that a bad one is reported at the start and together with all others.

    Returns:
        SHA-256 of each file by image id.

    Raises:
        DataError: files cannot be read or are not images, or one file shows two people.
    """
    hashes: dict[str, str] = {}
    unusable: list[str] = []
    people_by_hash: dict[str, set[str]] = defaultdict(set)
    total = 0
    for image in images:
        total += 1
        try:
            content = image.read()
            decode_image(content)
        except (OSError, UnreadableImageError) as error:
            unusable.append(f"{image.path} ({getattr(error, 'strerror', None) or error})")
            continue
        hashes[image.image_id] = hashlib.sha256(content).hexdigest()
        people_by_hash[hashes[image.image_id]].add(image.identity)
    if unusable:
        raise DataError(
            f"{where}: {len(unusable)} of {total} files cannot be read as images: {shorten(unusable)}; "
            "repair them or take them out of 'data.root'"
        )
    shared = [" and ".join(sorted(people)) for people in people_by_hash.values() if len(people) > 1]
    if shared:
        raise DataError(
            f"{where}: {len(shared)} files show up under several people ({shorten(sorted(shared))}); "
            "such people cannot be kept apart: remove the copies from 'data.root'"
        )
    return hashes


def shorten(items: Sequence[str]) -> str:
    """Join the first few items.

    >>> shorten(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e and 2 more'
    """
    more = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {more} more" if more > 0 else "")
