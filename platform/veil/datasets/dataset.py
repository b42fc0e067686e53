"""What every dataset reader returns, and the checks that all datasets pass before any face is looked for."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from veil.errors import DataError
from veil.faces.images import UnreadableImageError, decode_image

SHOWN = 5
"""How many offenders an error message lists."""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One file of a dataset.

    Attributes:
        image_id: unique in the dataset, for example "s1/10".
        identity: who is shown; None where the dataset does not say.
        path: where the file is, for people; a member of an archive is "archive.zip!member".
        read: returns the bytes of the file.
        expression: its label, one of `veil.interfaces.EXPRESSIONS`; None where the dataset has none.
        label_distribution: share of annotators per class, float (7,) in that order; None where the dataset has none.
        split: part that the dataset itself puts the image in: "train", "search" (published validation part) or
            "sealed" (published test part). Set where identities are unknown, None where people are to be split.
        read_parsing: returns the dataset's own parsing map, uint8 (H, W) with the numbers of
            `veil.interfaces.FACE_PARTS`, of the whole image at any resolution; None where the dataset has none.
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


def make_dataset(name: str, images: Sequence[SourceImage], fingerprint: str, where: str) -> Dataset:
    """Check what can be checked without opening a file, and sort.

    Args:
        name: registered name of the dataset.
        images: in any order.
        fingerprint: see Dataset.
        where: folder or archive, for messages.

    Raises:
        DataError: there are no images.
    """
    if not images:
        raise DataError(f"{where}: no images found; setting 'data.root' must name a folder or archive with images")
    return Dataset(name, tuple(sorted(images, key=lambda image: image.image_id)), fingerprint)


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


def require_folder(root: Path) -> None:
    """Raise a DataError that says what is wrong with a folder, if anything."""
    if not root.exists():
        raise DataError(f"{root} does not exist; set 'data.root' to the dataset's folder")
    if not root.is_dir():
        raise DataError(f"{root} is a file, expected a folder with one folder per person; change 'data.root'")


def fingerprint_files(paths: Iterable[Path], root: Path) -> str:
    """SHA-256 over name, size and time of change of files: notices edits without reading the content.

    Raises:
        DataError: a file cannot be opened, as with a link to nowhere.
    """
    digest = hashlib.sha256()
    for path in sorted(paths):
        try:
            stat = path.stat()
        except OSError as error:
            raise DataError(f"{path} cannot be opened: {error.strerror}; take it out of 'data.root'") from error
        digest.update(f"{path.relative_to(root).as_posix()}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def shorten(items: Sequence[str]) -> str:
    """Join the first few items.

    >>> shorten(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e and 2 more'
    """
    more = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {more} more" if more > 0 else "")
