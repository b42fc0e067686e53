"""LFW, CelebA and CelebAMask-HQ in the layouts they are published in, against torchvision where it reads them."""

from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
import pytest

from veil.config import SplitConfig
from veil.datasets.splits import assign_splits
from veil.errors import DataError
from veil.faces.images import decode_image
from veil.interfaces import FACE_PARTS
from veil.registry import datasets


def jpeg(seed: int, side: int = 8) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def write(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def lfw_root(tmp_path: Path) -> Path:
    """Four people of LFW as torchvision unpacks them, with its list of people."""
    people = {"Aaron_Eckhart": 1, "Abdoulaye_Wade": 4, "Jennifer_Lopez": 2, "Luis_Ernesto_Derbez_Bautista": 1}
    for person, count in people.items():
        for number in range(1, count + 1):
            write(tmp_path / f"lfw-py/lfw_funneled/{person}/{person}_{number:04d}.jpg", jpeg(number))
    rows = [f"{person}\t{count}" for person, count in people.items()]
    write(tmp_path / "lfw-py/peopleDevTrain.txt", "\n".join([str(len(rows)), *rows]) + "\n")
    write(tmp_path / "lfw-py/lfw-names.txt", "\n".join(rows) + "\n")
    return tmp_path


def test_lfw_agrees_with_torchvision(lfw_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import LFWPeople

    monkeypatch.setattr(LFWPeople, "_check_integrity", lambda self: True)  # compares with the whole archive's hash
    theirs = LFWPeople(str(lfw_root), split="train", image_set="funneled")
    names = {number: name for name, number in theirs.class_to_idx.items()}
    ours = datasets.get("lfw")(lfw_root)
    assert [(Path(image.path), image.identity) for image in ours.images] == sorted(
        (Path(path), names[target]) for path, target in zip(theirs.data, theirs.targets, strict=True)
    )
    assert ours.skipped == ()


def test_lfw_wherever_it_was_unpacked(lfw_root: Path) -> None:
    read = datasets.get("lfw")
    version = lfw_root / "lfw-py/lfw_funneled"
    found = [[image.path for image in read(root).images] for root in (lfw_root, lfw_root / "lfw-py", version)]
    assert found[0] == found[1] == found[2]
    write(version / "Aaron_Eckhart/portrait.jpg", jpeg(0))
    write(version / "pairs.txt", "10")
    assert {item.reason for item in read(lfw_root).skipped} == {"not named <person>/<person>_0001.jpg"}
    assert len(read(lfw_root).images) == len(found[0])
    (lfw_root / "lfw-py/lfw").mkdir()
    with pytest.raises(DataError, match=r"found 2 versions: .*lfw_funneled, .*/lfw, of which one is to be chosen"):
        read(lfw_root)
    write(lfw_root / "lfw.tgz", "archive")
    with pytest.raises(DataError, match=r"lfw.tgz: is a file \(unpack an archive with `tar -xzf`\); expected"):
        read(lfw_root / "lfw.tgz")


def test_people_of_lfw_with_one_photograph_train(lfw_root: Path) -> None:
    more = "lfw-py/lfw_funneled/{0}/{0}_000{1}.jpg"
    for person in ("Ann", "Bob", "Cid", "Dan"):
        for number in (1, 2):
            write(lfw_root / more.format(person, number), jpeg(number))
    splits = SplitConfig(train=2, attacker=2, search=2, sealed=2)
    assigned = assign_splits(datasets.get("lfw")(lfw_root), splits, 0)
    assert assigned.by_identity["Aaron_Eckhart"] == assigned.by_identity["Luis_Ernesto_Derbez_Bautista"] == "train"
    assert assigned.notes == (
        "2 of 8 people have a single image and only train: Aaron_Eckhart, Luis_Ernesto_Derbez_Bautista.",
    )


@pytest.fixture
def celeba_root(tmp_path: Path) -> Path:
    """Six images of CelebA as torchvision keeps them, with all label files."""
    base = tmp_path / "celeba"
    names = [f"{number:06d}.jpg" for number in range(1, 7)]
    for seed, name in enumerate(names):
        write(base / "img_align_celeba" / name, jpeg(seed))

    def table(filename: str, values: list[str], *header: str) -> None:
        write(base / filename, "\n".join([*header, *(f"{n} {v}" for n, v in zip(names, values, strict=True))]) + "\n")

    table("identity_CelebA.txt", ["2880", "2937", "8692", "2880", "2937", "8692"])
    table("list_eval_partition.txt", ["0", "0", "1", "1", "2", "2"])
    table("list_attr_celeba.txt", [" -1  1"] * 6, "6", "Bald Smiling ")
    table("list_bbox_celeba.txt", [" 95  71 226 313"] * 6, "6", "image_id x_1 y_1 width height")
    table("list_landmarks_align_celeba.txt", [" 69 109 106 113"] * 6, "6", "lefteye_x lefteye_y righteye_x righteye_y")
    return tmp_path


def test_celeba_agrees_with_torchvision(celeba_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CelebA

    monkeypatch.setattr(CelebA, "_check_integrity", lambda self: True)  # knows the hashes of the whole files alone
    theirs = CelebA(str(celeba_root), split="all", target_type="identity")
    ours = datasets.get("celeba")(celeba_root)
    assert [(image.image_id, image.identity) for image in ours.images] == [
        (name, str(int(person))) for name, person in zip(theirs.filename, theirs.identity, strict=True)
    ]
    assert {image.split for image in ours.images} == {None}, "people are drawn; CelebA's own parts are not used"
    for image, (pixels, _) in zip(ours.images, theirs, strict=True):
        np.testing.assert_array_equal(decode_image(image.read())[..., ::-1], np.asarray(pixels))

    parts = {"train": "train", "valid": "search", "test": "sealed"}
    names = {part: list(CelebA(str(celeba_root), split=split).filename) for split, part in parts.items()}
    (celeba_root / "celeba/identity_CelebA.txt").unlink()
    unnamed = datasets.get("celeba")(celeba_root)
    for part, expected in names.items():
        assert [image.image_id for image in unnamed.images if image.split == part] == expected
    assert unnamed.identities == []
    assert assign_splits(unnamed, SplitConfig(), 0).of(unnamed.images[-1]) == "sealed"


def test_celeba_zip_and_what_does_not_fit(celeba_root: Path) -> None:
    base = celeba_root / "celeba"
    folder = base / "img_align_celeba"
    before = datasets.get("celeba")(base)
    with ZipFile(base / "img_align_celeba.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"img_align_celeba/{path.name}")
            path.unlink()
        archive.writestr("img_align_celeba/000009.jpg", jpeg(9))
        archive.writestr("img_align_celeba/again/000001.jpg", jpeg(9))
        archive.writestr("img_align_celeba/notes.txt", "x")
    folder.rmdir()
    with (base / "identity_CelebA.txt").open("a") as lines:
        lines.write("000010.jpg\n000007.jpg 5\n")
    after = datasets.get("celeba")(celeba_root)
    assert [(image.image_id, image.read()) for image in after.images] == [
        (image.image_id, read) for image, read in zip(before.images, map(jpeg, range(6)), strict=True)
    ]
    assert after.fingerprint != before.fingerprint
    assert {(Path(item.path).name.split("!")[-1], item.reason) for item in after.skipped} == {
        ("000009.jpg", "not in identity_CelebA.txt"),
        ("000001.jpg", "a second file of this number"),
        ("notes.txt", "not named 000001.jpg"),
        ("identity_CelebA.txt:7", "not a file name and the number of a person"),
        ("identity_CelebA.txt (1 lines)", "names images that are not there"),
    }
    for name in ("identity_CelebA.txt", "list_eval_partition.txt"):
        (base / name).unlink()
    with pytest.raises(DataError, match=r"found neither identity_CelebA.txt nor list_eval_partition.txt, so nobody"):
        datasets.get("celeba")(celeba_root)


@pytest.fixture
def celebamask_root(tmp_path: Path) -> Path:
    """Two images of CelebAMask-HQ, in different folders of masks, with a few masks each."""
    base = tmp_path / "CelebAMask-HQ"
    parts = {"skin": (0, 6), "l_eye": (1, 3), "eye_g": (2, 4), "hair": (5, 8)}
    for number, drawn in ((7, ("skin", "l_eye", "eye_g", "hair")), (2000, ("skin",))):
        write(base / f"CelebA-HQ-img/{number}.jpg", jpeg(number, side=16))
        for part in drawn:
            mask = np.zeros((8, 8, 3), np.uint8)
            mask[slice(*parts[part])] = 255
            content = cv2.imencode(".png", mask)[1].tobytes()
            write(base / f"CelebAMask-HQ-mask-anno/{number // 2000}/{number:05d}_{part}.png", content)
    return tmp_path


def test_celebamask_maps(celebamask_root: Path) -> None:
    dataset = datasets.get("celebamask_hq")(celebamask_root)
    assert [(image.image_id, image.identity, image.split) for image in dataset.images] == [
        ("00007", None, "train"),
        ("02000", None, "train"),
    ]
    full, skin = (image.read_parsing() for image in dataset.images)
    # Each row of the picture shows the part drawn last: eyes over glasses, hair over skin.
    drawn = ["skin", "left_eye", "left_eye", "accessories", "skin", "hair", "hair", "hair"]
    np.testing.assert_array_equal(full, np.repeat([[FACE_PARTS.index(part)] for part in drawn], 8, axis=1))
    assert full.dtype == np.uint8
    assert set(np.unique(skin)) == {FACE_PARTS.index("background"), FACE_PARTS.index("skin")}


def test_celebamask_masks_that_cannot_be_used(celebamask_root: Path) -> None:
    masks = celebamask_root / "CelebAMask-HQ/CelebAMask-HQ-mask-anno"
    before = datasets.get("celebamask_hq")(celebamask_root)
    full, skin = before.images
    write(masks / "0/00007_nose.png", cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes())
    with pytest.raises(OSError, match=r"00007_nose.png has another size"):
        full.read_parsing()
    write(masks / "0/00007_nose.png", "no picture")
    with pytest.raises(OSError, match=r"00007_nose.png: not an image"):
        full.read_parsing()
    (masks / "1/02000_skin.png").unlink()
    with pytest.raises(OSError, match=r"no mask 02000_\*.png"):
        skin.read_parsing()
    after = datasets.get("celebamask_hq")(celebamask_root)
    assert len(after.images) == 2, "an image without a map is still an image"
    assert after.fingerprint != before.fingerprint


def test_celebamask_people_and_parts(celebamask_root: Path) -> None:
    base = celebamask_root / "CelebAMask-HQ"
    write(base / "CelebA-HQ-img/8.jpg", jpeg(8))
    write(base / "CelebA-HQ-img/9.jpg", jpeg(9))
    write(base / "CelebA-HQ-img/notes.txt", "x")
    header = "idx    orig_idx    orig_file\n"
    rows = "7   162770   162771.jpg\n8   162771   162772.jpg\n2000   182638   182639.jpg\nx y\n"
    write(base / "CelebA-HQ-to-CelebA-mapping.txt", header + rows)
    parts = datasets.get("celebamask_hq")(base)
    assert {image.image_id: image.split for image in parts.images} == {
        "00007": "train",
        "00008": "search",
        "02000": "sealed",
    }
    reasons = {Path(item.path).name: item.reason for item in parts.skipped}
    assert reasons == {
        "9.jpg": "not in CelebA-HQ-to-CelebA-mapping.txt",
        "notes.txt": "not named <number>.jpg",
        "CelebA-HQ-to-CelebA-mapping.txt:5": "not a number, a number in CelebA and a file name",
    }
    write(base / "identity_CelebA.txt", "162771.jpg 11\n182639.jpg 12\n")
    people = datasets.get("celebamask_hq")(base)
    assert [(image.identity, image.split) for image in people.images] == [("11", None), ("12", None)]
    assert ("8.jpg", "not in identity_CelebA.txt") in [(Path(item.path).name, item.reason) for item in people.skipped]
