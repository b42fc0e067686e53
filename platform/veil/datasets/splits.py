"""Identity-disjoint splits."""

import hashlib
from collections.abc import Iterable

from veil.config import SplitConfig
from veil.errors import DataError

SPLITS = ("train", "attacker", "search", "sealed")


def split_identities(identities: Iterable[str], splits: SplitConfig, seed: int) -> dict[str, str]:
    """Give each person one split.

    People are ordered by a hash of the seed and their name, so the result depends on nothing else: not on the order of
    files, the platform, or a library's generator. The sealed people are drawn first, then search, attacker and train,
    so a larger training set never unseals anyone. People beyond the numbers asked for go to train.

    Args:
        identities: all people; duplicates do not matter.
        splits: numbers of people.
        seed: another seed gives another draw.

    Returns:
        Split by identity, for every identity.

    Raises:
        DataError: there are fewer people than asked for.
    """
    people = set(identities)
    wanted = {name: getattr(splits, name) for name in SPLITS}
    if len(people) < sum(wanted.values()):
        parts = ", ".join(f"{name} {count}" for name, count in wanted.items())
        raise DataError(
            f"the dataset has {len(people)} people, but the splits need {sum(wanted.values())} ({parts}); "
            "lower the numbers in 'data.splits' or add people"
        )
    drawn = sorted(people, key=lambda person: hashlib.sha256(f"{seed}\0{person}".encode()).digest())
    assigned = dict.fromkeys(drawn, "train")
    start = 0
    for name in ("sealed", "search", "attacker"):
        assigned.update(dict.fromkeys(drawn[start : start + wanted[name]], name))
        start += wanted[name]
    return assigned
