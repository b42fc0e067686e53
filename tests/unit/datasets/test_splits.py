"""Identity-disjoint splits."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veil.config import SplitConfig
from veil.datasets.dataset import Dataset, SourceImage, make_dataset
from veil.datasets.splits import SPLITS, assign_splits, split_identities
from veil.errors import DataError

sizes = st.integers(2, 6)
split_configs = st.builds(SplitConfig, train=sizes, attacker=sizes, search=sizes, sealed=sizes)
seeds = st.integers(0, 2**31)


def people(count: int) -> list[str]:
    return [f"p{number}" for number in range(count)]


@given(splits=split_configs, seed=seeds, extra=st.integers(0, 10), data=st.data())
def test_sizes_and_independence_of_order(splits: SplitConfig, seed: int, extra: int, data: st.DataObject) -> None:
    names = people(splits.train + splits.attacker + splits.search + splits.sealed + extra)
    assigned = split_identities(names, splits, seed)
    assert set(assigned) == set(names), "everybody is in exactly one split"
    assert Counter(assigned.values()) == {
        "train": splits.train + extra,
        "attacker": splits.attacker,
        "search": splits.search,
        "sealed": splits.sealed,
    }
    assert split_identities(data.draw(st.permutations(names + names[:3])), splits, seed) == assigned


@given(splits=split_configs, seed=seeds)
def test_more_training_people_never_unseal_anyone(splits: SplitConfig, seed: int) -> None:
    names = people(40)
    larger = splits.model_copy(update={"train": splits.train + 3, "attacker": splits.attacker + 1})
    for name in ("sealed", "search"):
        held_out = {person for person, split in split_identities(names, splits, seed).items() if split == name}
        assert held_out == {person for person, split in split_identities(names, larger, seed).items() if split == name}


def test_seed_changes_the_draw_and_the_draw_is_fixed() -> None:
    names, splits = people(40), SplitConfig()
    assert split_identities(names, splits, 0) != split_identities(names, splits, 1)
    sealed = sorted(person for person, split in split_identities(names, splits, 0).items() if split == "sealed")
    # A change of this list would silently unseal people of every existing study.
    assert sealed == SEALED_OF_SEED_0


SEALED_OF_SEED_0 = ["p11", "p15", "p17", "p19", "p2", "p22", "p30", "p34", "p36", "p9"]


def test_too_few_people_says_the_numbers() -> None:
    with pytest.raises(DataError) as caught:
        split_identities(people(39), SplitConfig(train=12, attacker=8, search=10, sealed=10), seed=0)
    assert "has 39 people, but the splits need 40 (train 12, attacker 8, search 10, sealed 10)" in str(caught.value)
    assert "data.splits" in str(caught.value)


def test_names_of_the_splits_are_the_settings() -> None:
    assert set(SPLITS) == set(SplitConfig.model_fields)


def image(image_id: str, identity: str | None, split: str | None = None) -> SourceImage:
    return SourceImage(image_id, identity, image_id, bytes, split=split)


def dataset(*images: SourceImage) -> Dataset:
    return make_dataset("mine", images, "")


@given(seed=seeds, pairs=st.integers(6, 12), singles=st.integers(2, 6))
def test_people_with_a_single_image_only_train(seed: int, pairs: int, singles: int) -> None:
    two = [image(f"p{number}/{name}", f"p{number}") for number in range(pairs) for name in "ab"]
    one = [image(f"s{number}/a", f"s{number}") for number in range(singles)]
    splits = SplitConfig(train=2, attacker=2, search=2, sealed=2)
    assigned = assign_splits(dataset(*two, *one), splits, seed)
    assert {assigned.of(single) for single in one} == {"train"}
    assert Counter(assigned.by_identity.values())["train"] == pairs - 6 + singles
    people = split_identities([f"p{number}" for number in range(max(pairs, 8))], splits, seed)
    if pairs >= 8:
        assert {name: people[name] for name in people} == {
            name: split for name, split in assigned.by_identity.items() if name.startswith("p")
        }, "people with a single image do not change the draw of the others"
    assert f"{singles} of {pairs + singles} people have a single image and only train: s0, s1" in assigned.notes[0]


def test_too_few_people_with_two_images() -> None:
    images = [image(f"s{number}/a", f"s{number}") for number in range(40)]
    with pytest.raises(DataError, match="40 people, 40 of them with a single image, who can only train"):
        assign_splits(dataset(*images), SplitConfig(), 0)


def test_nobody_known_follows_the_dataset() -> None:
    images = [image(split, None, split) for split in ("train", "search", "sealed")]
    assigned = assign_splits(dataset(*images), SplitConfig(), 0)
    assert [assigned.of(known) for known in images] == ["train", "search", "sealed"]
    assert assigned.notes == ()


@pytest.mark.parametrize("split", [None, "validation"])
def test_neither_identity_nor_split_is_refused(split: str | None) -> None:
    known = [image(f"p{number}/{name}", f"p{number}") for number in range(40) for name in "ab"]
    with pytest.raises(DataError, match=r"1 of 81 images have neither an identity nor a split of train, .*\(lost\)"):
        assign_splits(dataset(*known, image("lost", None, split)), SplitConfig(), 0)
