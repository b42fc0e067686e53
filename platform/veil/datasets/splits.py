"""Which part of a study each image belongs to: disjoint by identity, or as the dataset itself says."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from veil.config import SplitConfig
from veil.datasets.dataset import Dataset, SourceImage, shorten
from veil.errors import DataError

SPLITS = ("train", "attacker", "search", "sealed")


class Splits(NamedTuple):
    """Where each image goes.

    Attributes:
        by_identity: split of each person.
        notes: sentences that a reader of results must know.
    """

    by_identity: dict[str, str]
    notes: tuple[str, ...] = ()

    def of(self, image: SourceImage) -> str:
        """Split of an image of the dataset these splits were made for."""
        if image.identity is not None:
            return self.by_identity[image.identity]
        assert image.split is not None
        return image.split


def assign_splits(dataset: Dataset, splits: SplitConfig | None, seed: int) -> Splits:
    """Split a dataset: people by a draw, images that show nobody known by what the dataset says.

    A person with a single image can be compared with nobody but others, so they train and are never drawn for the
    other parts. A dataset that names nobody is not drawn from at all.

    Args:
        dataset: its usable images.
        splits: numbers of people; None draws nobody: all train, as those do who only join a study's training.
        seed: another seed gives another draw.

    Raises:
        DataError: an image has neither an identity nor a split, or there are too few people.
    """
    homeless = [image.path for image in dataset.images if image.identity is None and image.split not in SPLITS]
    if homeless:
        raise DataError(
            f"dataset {dataset.name!r}: {len(homeless)} of {len(dataset.images)} images have neither an identity nor a "
            f"split of {', '.join(SPLITS)} ({shorten(homeless)}), so nothing keeps them apart from the people that are "
            "scored; its reader must give one of the two"
        )
    counts = Counter(image.identity for image in dataset.images if image.identity is not None)
    if splits is None:
        return Splits(dict.fromkeys(counts, "train"))
    if not counts:
        return Splits({})
    singles = sorted(identity for identity, count in counts.items() if count == 1)
    assigned = split_identities(counts.keys() - set(singles), splits, seed, only_train=singles)
    notes = (
        [f"{len(singles)} of {len(counts)} people have a single image and only train: {shorten(singles)}."]
        if singles
        else []
    )
    return Splits(assigned, tuple(notes))


def split_identities(
    identities: Iterable[str], splits: SplitConfig, seed: int, only_train: Iterable[str] = ()
) -> dict[str, str]:
    """Give each person one split.

    People are ordered by a hash of the seed and their name, so the result depends on nothing else: not on the order of
    files, the platform, or a library's generator. The sealed people are drawn first, then search, attacker and train,
    so a larger training set never unseals anyone. People beyond the numbers asked for go to train.

    Args:
        identities: all people that can be drawn; duplicates do not matter.
        splits: numbers of people.
        seed: another seed gives another draw.
        only_train: further people, who go to train and count there.

    Returns:
        Split by identity, for every identity.

    Raises:
        DataError: there are fewer people than asked for.
    """
    people, trained = set(identities), set(only_train)
    wanted = {name: getattr(splits, name) for name in SPLITS}
    judged = sum(wanted.values()) - wanted["train"]
    if len(people) < judged or len(people | trained) < judged + wanted["train"]:
        parts = ", ".join(f"{name} {count}" for name, count in wanted.items())
        single = f", {len(trained)} of them with a single image, who can only train" if trained else ""
        raise DataError(
            f"the dataset has {len(people | trained)} people{single}, but the splits need {sum(wanted.values())} "
            f"({parts}); lower the numbers in 'data.splits' or add people"
        )
    drawn = sorted(people, key=lambda person: hashlib.sha256(f"{seed}\0{person}".encode()).digest())
    assigned = dict.fromkeys([*drawn, *trained], "train")
    start = 0
    for name in ("sealed", "search", "attacker"):
        assigned.update(dict.fromkeys(drawn[start : start + wanted[name]], name))
        start += wanted[name]
    return assigned
