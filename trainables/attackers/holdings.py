"""What an attacker holds of its own people."""

import numpy as np

from veil.interfaces import AttackFailedError, AttackSet, AttackSetting


def held_images(setting: AttackSetting, images_per_identity: int | None) -> AttackSet:
    """The attacker's own people, at most so many images of each, drawn by the setting's seed.

    Args:
        setting: what the attacker is given.
        images_per_identity: images of each person, in whatever order; None keeps all.

    Raises:
        AttackFailedError: there are fewer than 2 people, so that nothing tells people apart.
    """
    owned = setting.owned
    people = np.unique(owned.identities)
    if people.size < 2:
        raise AttackFailedError(
            f"an attacker that learns needs at least 2 people of its own, found {people.size}; raise `splits.attacker`"
        )
    if images_per_identity is None:
        return owned
    rng = np.random.default_rng(setting.seed)
    rows = np.sort(
        np.concatenate(
            [rng.permutation(np.flatnonzero(owned.identities == person))[:images_per_identity] for person in people]
        )
    )
    has_images = len(owned.anonymized_images) > 0
    return AttackSet(
        identities=owned.identities[rows],
        sources=owned.sources[rows],
        clear=owned.clear[rows],
        anonymized=owned.anonymized[rows],
        clear_images=owned.clear_images[rows] if has_images else owned.clear_images,
        anonymized_images=owned.anonymized_images[rows] if has_images else owned.anonymized_images,
    )


def person_labels(people: AttackSet) -> np.ndarray:
    """Persons numbered 0..C-1, int64 (N,)."""
    return np.unique(people.identities, return_inverse=True)[1].astype(np.int64)
