"""Two folders of photographs, clear and anonymized by any tool, as faces that the protocol can judge.

Faces are found in the clear photograph, and the anonymized one is cut by the same alignment. That is the attacker at
their strongest: they lose no face because a detector fails on it, and an image in which no detector finds a face is
never counted as private for that reason alone.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from veil.config import StudyConfig
from veil.datasets.dataset import SourceImage, shorten
from veil.datasets.folder import files_by_stem
from veil.errors import DataError, ProtocolError
from veil.faces.images import UnreadableImageError, decode_image
from veil.faces.prepare import Preparation, Progress
from veil.faces.table import FaceRow, FaceTable
from veil.faces.transfer import cut_published

TARGET_SPLIT, OWNED_SPLIT = "search", "attacker"
FEWEST_PEOPLE = 2
"""In either part: one person cannot be confused with anybody, and an attacker learns nothing from one."""


class Pairing(NamedTuple):
    """Which files belong together.

    Attributes:
        pairs: clear and anonymized file by image id, the path "person/…/stem" that both have below their folders.
        left_out: sentences about the files and people that take no part.
    """

    pairs: dict[str, tuple[Path, Path]]
    left_out: tuple[str, ...]


class PairedFaces(NamedTuple):
    """Faces of two folders.

    Attributes:
        faces: the clear faces; people under attack are its split "search", those the attacker owns "attacker".
        anonymized: uint8 (3, 112, 112), RGB, the anonymized face by image id, for every usable face.
        notes: sentences that a reader of the score must know.
    """

    faces: FaceTable
    anonymized: dict[str, NDArray[np.uint8]]
    notes: tuple[str, ...]

    def crops(self, split: str) -> NDArray[np.uint8]:
        """Anonymized faces, uint8 (N, 3, 112, 112), in the order of a split's clear faces."""
        return np.stack([self.anonymized[image_id] for image_id in self.faces.split(split).image_ids])


def read_folders(
    clear: Path, anonymized: Path, config: StudyConfig, progress: Progress = lambda done, total: None
) -> PairedFaces:
    """Match, align and divide the photographs of two folders.

    Args:
        clear: one folder per person, photographs at any depth below.
        anonymized: the same photographs under the same relative paths, extensions apart.
        config: detector; ratio of attacker-owned to attacked people; FAR and what it needs.
        progress: called with the number of photographs done and in total.

    Raises:
        DataError: a folder or file cannot be used, nothing matches, or there are too few people.
        ProtocolError: there are too few pairs of different people for the FAR.
        AssetError: the weights of a detector cannot be had.
    """
    matched = pair_files(clear, anonymized)
    images = [
        SourceImage(image_id, image_id.split("/", 1)[0], str(original), original.read_bytes)
        for image_id, (original, _) in matched.pairs.items()
    ]
    # Finding faces takes minutes; what cannot be divided even if all are found is refused now.
    divide_people(Counter(image_id.split("/", 1)[0] for image_id in matched.pairs), config)
    _check_files(matched.pairs, clear, anonymized)
    crops: dict[str, NDArray[np.uint8]] = {}

    def cut(image: SourceImage, pixels: np.ndarray, matrix: np.ndarray) -> None:
        original, published = matched.pairs[image.image_id]
        height, width = pixels.shape[:2]
        crops[image.image_id] = cut_published(published, original, (width, height), matrix)

    preparation = Preparation.load(config.data.detector, config.data.parsing, on_aligned=cut)
    rows: list[FaceRow] = []
    for row in preparation.rows((image, TARGET_SPLIT) for image in images):
        if not isinstance(row, FaceRow):
            raise DataError(f"{row.path} changed while it was being read; run the command again")
        rows.append(row)
        progress(len(rows), len(images))
    usable = Counter(row.identity for row in rows if row.landmarks68 is not None and row.identity is not None)
    if not usable:
        raise DataError(f"no face found in any of the {len(images)} photographs of {clear}; check `data.detector`")
    splits, division = divide_people(usable, config)
    faces = FaceTable.from_rows(
        [replace(row, split=splits[row.identity]) for row in rows if row.identity in splits], preparation.contract
    )
    return PairedFaces(faces, crops, (*matched.left_out, *_missing(rows, splits), division))


def _missing(rows: Sequence[FaceRow], splits: Mapping[str, str]) -> list[str]:
    notes = []
    faceless = [row.image_id for row in rows if row.landmarks68 is None]
    if faceless:
        notes.append(
            f"In {len(faceless)} of {len(rows)} clear photographs no usable face was found; they are not scored: "
            f"{shorten(faceless)}."
        )
    dropped = sorted({row.identity for row in rows if row.identity is not None} - set(splits))
    if dropped:
        notes.append(f"{len(dropped)} people are left with fewer than 2 usable photographs: {shorten(dropped)}.")
    return notes


def pair_files(clear: Path, anonymized: Path) -> Pairing:
    """Match the files of two folders by their paths below the folder, extensions apart.

    Raises:
        DataError: a folder is missing or has no person, one path names two files, or nothing matches.
    """
    originals, published = files_by_stem(clear, "--clear"), files_by_stem(anonymized, "--anonymized")
    common = sorted(set(originals) & set(published))
    if not common:
        raise DataError(
            f"no file of {clear} has a partner in {anonymized}: the one holds for example "
            f"{min(originals)!r}, the other {min(published)!r} (extensions do not count); "
            "give both the same folders and names"
        )
    counts = Counter(image_id.split("/", 1)[0] for image_id in common)
    singles = sorted(person for person, count in counts.items() if count < 2)
    pairs = {
        image_id: (originals[image_id], published[image_id])
        for image_id in common
        if image_id.split("/", 1)[0] not in singles
    }
    left_out = [
        f"{len(alone)} {what} have no partner: {shorten(alone)}."
        for what, alone in (
            ("clear photographs", sorted(set(originals) - set(published))),
            ("anonymized photographs", sorted(set(published) - set(originals))),
        )
        if alone
    ]
    if singles:
        left_out.append(f"{len(singles)} people have a single pair and are left out: {shorten(singles)}.")
    return Pairing(pairs, tuple(left_out))


def _check_files(pairs: Mapping[str, tuple[Path, Path]], clear: Path, anonymized: Path) -> None:
    """Name all unusable files together, before any face is looked for."""
    people: dict[str, set[str]] = defaultdict(set)
    unusable = []
    for image_id, files in pairs.items():
        for path in files:
            try:
                content = path.read_bytes()
                decode_image(content)
            except (OSError, UnreadableImageError) as error:
                unusable.append(f"{path} ({getattr(error, 'strerror', None) or error})")
                continue
            if path is files[0]:
                people[hashlib.sha256(content).hexdigest()].add(image_id.split("/", 1)[0])
    if unusable:
        raise DataError(
            f"{len(unusable)} files of {clear} and {anonymized} cannot be read as images: {shorten(unusable)}; "
            "repair or remove them"
        )
    shared = sorted(" and ".join(sorted(names)) for names in people.values() if len(names) > 1)
    if shared:
        raise DataError(f"{clear}: one photograph shows up under several people ({shorten(shared)}); remove the copies")


def divide_people(images: Mapping[str, int], config: StudyConfig) -> tuple[dict[str, str], str]:
    """Divide people into those under attack and those the attacker owns, in an order that depends on names and seed.

    The ratio is that of `data.splits.attacker` to `data.splits.search`. Where it leaves too few pairs of different
    people for the FAR, people move from the attacker to the attacked.

    Args:
        images: number of usable photographs by person; people with fewer than 2 are left out.
        config: ratio, seed, FAR and the false accepts it must rest on.

    Returns:
        split by person, and a sentence that says how they were divided.

    Raises:
        DataError: there are fewer than 4 people.
        ProtocolError: no division has enough pairs.
    """
    people = sorted(
        (person for person, count in images.items() if count >= 2),
        key=lambda person: hashlib.sha256(f"{config.data.split_seed}\0{person}".encode()).digest(),
    )
    if len(people) < 2 * FEWEST_PEOPLE:
        raise DataError(
            f"{len(people)} people have at least 2 usable pairs of photographs, expected at least {2 * FEWEST_PEOPLE}: "
            f"{FEWEST_PEOPLE} to attack and {FEWEST_PEOPLE} that the attacker learns from"
        )
    splits, suite = config.data.splits, config.suite
    needed = ceil(suite.min_false_accepts / suite.far - 1e-9)
    wanted = round(len(people) * splits.attacker / (splits.attacker + splits.search))
    wanted = min(max(wanted, FEWEST_PEOPLE), len(people) - FEWEST_PEOPLE)
    owned = next(
        (count for count in range(wanted, FEWEST_PEOPLE - 1, -1) if _cross_pairs(images, people[count:]) >= needed),
        None,
    )
    if owned is None:
        pairs = _cross_pairs(images, people[FEWEST_PEOPLE:])
        least = ceil(1000 * suite.min_false_accepts / pairs) / 1000
        advice = f"set `suite.far` to at least {least:g}" if least < 1 else "or add more"
        raise ProtocolError(
            f"{len(people)} people with {sum(images[person] for person in people)} usable photographs leave {pairs} "
            f"pairs of different people under attack, but FAR {suite.far:g} needs {needed} (`suite.min_false_accepts` "
            f"is {suite.min_false_accepts}): add people or photographs, {advice}, or lower `suite.min_false_accepts`"
        )
    moved = f" ({wanted - owned} fewer than usual, so that FAR {suite.far:g} can be measured)" if owned < wanted else ""
    note = f"{len(people) - owned} people are under attack; the attacker learns from {owned} others{moved}."
    return {person: OWNED_SPLIT if position < owned else TARGET_SPLIT for position, person in enumerate(people)}, note


def _cross_pairs(images: Mapping[str, int], people: Sequence[str]) -> int:
    counts = [images[person] for person in people]
    return (sum(counts) ** 2 - sum(count**2 for count in counts)) // 2
