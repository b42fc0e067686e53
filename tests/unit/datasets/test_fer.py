"""FER-2013 and FER+ in the layouts they are published in, against torchvision and against published counts."""

import csv
import os
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veil.config import SplitConfig
from veil.datasets.dataset import Dataset
from veil.datasets.ferplus import CLASSES, VotesRejectedError, label_votes
from veil.datasets.splits import assign_splits
from veil.errors import DataError
from veil.faces.images import decode_image
from veil.interfaces import EXPRESSIONS
from veil.registry import datasets

ROWS = [(6, "Training"), (0, "Training"), (3, "PublicTest"), (4, "PrivateTest"), (1, "Training")]
PIXELS = np.random.default_rng(0).integers(0, 256, (len(ROWS), 48, 48), dtype=np.uint8)


def write_fer(path: Path, columns: str = "emotion,pixels,Usage", rows: list[tuple[object, str]] = ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [columns]
    for (emotion, usage), pixels in zip(rows, PIXELS, strict=True):
        values = {"emotion": str(emotion), "pixels": " ".join(map(str, pixels.ravel())), "Usage": usage}
        lines.append(",".join(values[name.strip()] for name in columns.split(",")))
    path.write_text("\n".join(lines) + "\n")
    return path


def reasons(dataset: Dataset) -> list[tuple[str, str]]:
    return [(Path(item.path).name, item.reason) for item in dataset.skipped]


@pytest.mark.parametrize(
    ("name", "columns"),
    [("fer2013.csv", "emotion,pixels,Usage"), ("icml_face_data.csv", "emotion, Usage, pixels")],
)
def test_fer2013_table_agrees_with_torchvision(
    tmp_path: Path, name: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import FER2013, fer2013

    path = write_fer(tmp_path / "fer2013" / name, columns)
    monkeypatch.setattr(fer2013, "check_integrity", lambda path, md5: True)  # of the whole file alone
    ours = datasets.get("fer2013")(tmp_path)
    for split, parts in (("train", ("train",)), ("test", ("search", "sealed"))):
        mine = [image for image in ours.images if image.split in parts]
        theirs = list(FER2013(str(tmp_path), split=split))
        assert [EXPRESSIONS.index(image.expression) for image in mine] == [label for _, label in theirs]
        for image, (pixels, _) in zip(mine, theirs, strict=True):
            for channel in np.moveaxis(decode_image(image.read()), -1, 0):
                np.testing.assert_array_equal(channel, np.asarray(pixels))
    assert [image.image_id for image in ours.images] == [f"fer{number:07d}" for number in range(len(ROWS))]
    assert ours.images[2].path == f"{path}:4", "the line of the file"
    assert ours.identities == []
    assert assign_splits(ours, SplitConfig(), 0).of(ours.images[3]) == "sealed"
    assert [image.read() for image in datasets.get("fer2013")(path).images] == [image.read() for image in ours.images]


def test_rows_of_fer2013_that_cannot_be_used(tmp_path: Path) -> None:
    path = write_fer(tmp_path / "fer2013.csv", rows=[(7, "Training"), (0, "Test"), *ROWS[2:]])
    lines = path.read_text().splitlines()
    lines[4] = lines[4].replace(" ", ",", 1)
    lines[5] = lines[5].replace(",", ",300 ", 1).replace(" ", "-", 1)
    path.write_text("\n".join([*lines, "", "3,1 2 3,Training", f"3,{'1 ' * 70_000},Training"]) + "\n")
    dataset = datasets.get("fer2013")(tmp_path)
    assert reasons(dataset) == [
        ("fer2013.csv:2", "an emotion other than 0 to 6"),
        ("fer2013.csv:3", "a Usage other than Training, PublicTest and PrivateTest"),
        ("fer2013.csv:5", "a row of another length than the header"),
        ("fer2013.csv:7", "3 pixels instead of 2304"),
        ("fer2013.csv:8", "a row of another length than the header"),
    ]
    good, bad = dataset.images
    assert (good.image_id, bad.image_id) == ("fer0000002", "fer0000004")
    with pytest.raises(OSError, match="the row does not hold pixels"):
        bad.read()
    path.write_text("\n".join(lines[:2]))
    with pytest.raises(OSError, match="the row "):
        good.read()
    write_fer(path, "emotion,pixels", ROWS)
    with pytest.raises(DataError, match=r"fer2013.csv has the columns emotion, pixels, expected emotion, pixels and U"):
        datasets.get("fer2013")(tmp_path)


def test_fer2013_image_files(tmp_path: Path) -> None:
    names = {
        "train/angry/Training_3908.jpg": ("angry", "train"),
        "train/neutral/any name.png": ("neutral", "train"),
        "validation/happy/PublicTest_5.jpg": ("happy", "search"),
        "test/happy/PrivateTest_5.jpg": ("happy", "sealed"),
        "test/sad/PublicTest_6.jpg": ("sad", "search"),  # Kaggle's folders know one test alone
        "test/fear/7.jpg": ("fear", "sealed"),
    }
    others = {
        "test/angry/Training_1.jpg": "named Training, but in the folder 'test'",
        "test/bored/1.jpg": "in the folder 'bored', which is none of the 7 expressions",
        "extra/happy/1.jpg": "not in {train,validation,test}/<expression>",
        "train/1.jpg": "not in {train,validation,test}/<expression>",
    }
    with ZipFile(tmp_path / "fer.zip", "w") as archive:
        for name in (*names, *others):
            (tmp_path / "fer2013" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "fer2013" / name).write_bytes(name.encode())
            archive.writestr(f"fer2013/{name}", name)
    for root in (tmp_path, tmp_path / "fer2013", tmp_path / "fer.zip"):
        dataset = datasets.get("fer2013")(root)
        assert {image.image_id: (image.expression, image.split) for image in dataset.images} == names
        assert {item.path.split("fer2013/")[-1]: item.reason for item in dataset.skipped} == others
        assert all(image.read().decode() == image.image_id and image.identity is None for image in dataset.images)


def write_votes(path: Path, rows: list[tuple[str, str]]) -> None:
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    lines = [f"{usage},fer{number:07d}.png,{votes}" for number, (usage, votes) in enumerate(rows)]
    path.write_text("\n".join([header, *lines]) + "\n")


VOTES = [
    "4,0,0,1,3,2,0,0,0,0",
    "0,0,0,0,0,0,0,0,0,10",
    "0,9,1,0,0,0,0,0,0,0",
    "0,0,0,0,0,0,0,6,4,0",
    "1,0,x,0,9,0,0,0,0,0",
]


def test_ferplus_joins_votes_by_row(tmp_path: Path) -> None:
    table = write_fer(tmp_path / "fer2013/fer2013.csv")
    with pytest.raises(
        DataError, match=r"found fer2013.csv, but no fer2013new.csv beside it; expected .*Get FER\+ from"
    ):
        datasets.get("ferplus")(tmp_path)
    rows = [(usage, votes) for (_, usage), votes in zip(ROWS, VOTES, strict=True)]
    write_votes(table.with_name("fer2013new.csv"), rows)
    dataset = datasets.get("ferplus")(tmp_path)
    first, third = dataset.images
    assert (first.image_id, first.expression, first.split) == ("fer0000000", None, "train")
    shares = dict(zip(EXPRESSIONS, first.label_distribution, strict=True))
    assert {name: share for name, share in shares.items() if share} == pytest.approx({"neutral": 4 / 7, "angry": 3 / 7})
    assert (third.image_id, third.expression, third.split) == ("fer0000002", "happy", "search")
    np.testing.assert_array_equal(decode_image(third.read())[..., 0], PIXELS[2])
    assert reasons(dataset) == [
        ("fer2013.csv:3", "most annotators say 'not a face'"),
        ("fer2013.csv:5", "most annotators see contempt, which is none of the 7 expressions"),
        ("fer2013.csv:6", "no ten numbers of votes"),
    ]
    for wrong, message in (
        ([rows[2], *rows[1:]], r"row 1 is of 'Training' .*, but of 'PublicTest' .*same rows in the same order"),
        (rows[:-1], r"row 5 is of 'Training' .*, but of 'nothing'"),
        ([*rows, rows[0]], "has 1 rows more"),
    ):
        write_votes(table.with_name("fer2013new.csv"), wrong)
        with pytest.raises(DataError, match=message):
            datasets.get("ferplus")(tmp_path)


def votes_of(**counts: int) -> list[int]:
    return [counts.get(name.replace(" ", "_"), 0) for name in CLASSES]


@pytest.mark.parametrize(
    ("votes", "expected", "majority"),
    [
        (votes_of(happy=9, sad=1), {"happy": 1}, "happy"),  # a single vote is an outlier
        (votes_of(happy=5, neutral=5), {"happy": 0.5, "neutral": 0.5}, None),
        (votes_of(happy=8, neutral=2), {"happy": 1}, "happy"),  # enough at three quarters
        (votes_of(happy=6, neutral=4), {"happy": 0.6, "neutral": 0.4}, "happy"),
        (votes_of(angry=4, sad=2, fear=2, disgust=2), "annotators do not agree", None),  # equal votes count together
        (votes_of(angry=4, sad=3, fear=3), {"angry": 0.4, "sad": 0.3, "fear": 0.3}, None),
        (votes_of(neutral=1, happy=1, sad=1, fear=1, disgust=1), "annotators do not agree", None),
        (votes_of(sad=6, unknown=4), {"sad": 1}, "sad"),
        (votes_of(sad=5, unknown=5), "annotators do not agree", None),
        (votes_of(sad=4, unknown=6), "most annotators say 'unknown'", None),
        (votes_of(not_a_face=10), "most annotators say 'not a face'", None),
        (votes_of(contempt=6, neutral=4), "most annotators see contempt, which is none of the 7 expressions", None),
        (votes_of(contempt=4, neutral=6), {"neutral": 1}, "neutral"),
        (votes_of(contempt=5, neutral=5), {"neutral": 1}, None),
    ],
)
def test_rules_for_votes(votes: list[int], expected: dict[str, float] | str, majority: str | None) -> None:
    if isinstance(expected, str):
        with pytest.raises(VotesRejectedError, match=expected):
            label_votes(votes)
    else:
        label = label_votes(votes)
        shares = {name: share for name, share in zip(EXPRESSIONS, label.distribution, strict=True) if share}
        assert (shares, label.majority) == (pytest.approx(expected), majority)


@given(st.lists(st.integers(0, 10), min_size=10, max_size=10))
def test_labels_are_distributions_that_agree_with_their_majority(votes: list[int]) -> None:
    try:
        label = label_votes(votes)
    except VotesRejectedError:
        return
    assert sum(label.distribution) == pytest.approx(1)
    assert min(label.distribution) >= 0
    most = CLASSES[int(np.argmax(votes))]
    assert label.distribution[EXPRESSIONS.index(most)] == max(label.distribution)
    assert label.majority in (None, most)


def test_data(name: str) -> Path:
    folder = os.environ.get("VEIL_TEST_DATA")
    if not folder or not (path := Path(folder) / name).is_file():
        pytest.skip(f"needs {name} in the folder VEIL_TEST_DATA")
    return path


test_data.__test__ = False


def test_all_of_fer2013() -> None:
    dataset = datasets.get("fer2013")(test_data("fer2013.zip"))
    counts = Counter((image.split, image.expression) for image in dataset.images)
    # Goodfellow et al., in the order of EXPRESSIONS.
    assert {split: [counts[split, name] for name in EXPRESSIONS] for split in ("train", "search", "sealed")} == {
        "train": [3995, 436, 4097, 7215, 4830, 3171, 4965],
        "search": [467, 56, 496, 895, 653, 415, 607],
        "sealed": [491, 55, 528, 879, 594, 416, 626],
    }
    assert dataset.skipped == ()
    assert decode_image(dataset.images[-1].read()).shape == (48, 48, 3)


def test_all_votes_of_ferplus() -> None:
    accepted: Counter[str] = Counter()
    majorities: Counter[str] = Counter()
    rejected: Counter[tuple[str, str]] = Counter()
    with test_data("fer2013new.csv").open(newline="") as file:
        for usage, _, *votes in list(csv.reader(file))[1:]:
            try:
                label = label_votes([int(count) for count in votes])
            except VotesRejectedError as reason:
                rejected[usage, str(reason)] += 1
            else:
                accepted[usage] += 1
                majorities[usage] += label.majority is not None
    contempt = Counter({usage: count for (usage, reason), count in rejected.items() if "contempt" in reason})
    faceless = sum(count for (_, reason), count in rejected.items() if "not a face" in reason)
    # What the authors' own code keeps of each part in its mode "crossentropy", contempt included.
    assert accepted + contempt == {"Training": 27956, "PublicTest": 3505, "PrivateTest": 3505}
    assert accepted == {"Training": 27796, "PublicTest": 3482, "PrivateTest": 3480}
    # And in its mode "majority", without the 119, 13 and 16 faces whose majority is contempt.
    assert majorities == {"Training": 25060 - 119, "PublicTest": 3199 - 13, "PrivateTest": 3153 - 16}
    assert 35887 - faceless == 35710, "faces that the authors count"
