"""CelebA: 202,599 photographs of 10,177 celebrities, aligned and cropped to 178×218."""

import re
from pathlib import Path

from veil.datasets.dataset import Dataset, LayoutError, Skipped, make_dataset
from veil.datasets.files import fingerprint_of, list_files, numbered_lines
from veil.datasets.reader import About, described
from veil.registry import datasets

IDENTITIES, PARTITION = "identity_CelebA.txt", "list_eval_partition.txt"
SPLIT_OF_PARTITION = {"0": "train", "1": "search", "2": "sealed"}

_NAME = re.compile(r"(?:^|/)(\d{6}\.(?:jpg|png))$")


@datasets.register("celeba")
@described(
    About(
        title="CelebA",
        content="10,177 people, 202,599 photographs, already aligned and cropped to 178×218",
        layout="celeba/img_align_celeba/000001.jpg … (or img_align_celeba.zip) as torchvision keeps it, beside it "
        f"{IDENTITIES} (who is shown; without it {PARTITION}, which divides people nobody knows)",
        url="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        licence="non-commercial research",
        citation="Liu, Luo, Wang, Tang: Deep Learning Face Attributes in the Wild, ICCV 2015",
        limits="It shows celebrities, posed and made up, most of them young and most of them white.",
    )
)
def read_celeba(root: Path) -> Dataset:
    """Read the aligned images of CelebA; where identities are known, its own partition is not used.

    Raises:
        DataError: the images are not there, or neither identities nor partition are.
    """
    base = root / "celeba" if (root / "celeba").is_dir() else root
    places = [path for name in ("img_align_celeba", "img_align_celeba.zip") if (path := base / name).exists()]
    labels = [path for name in (IDENTITIES, PARTITION) if (path := base / name).is_file()]
    if not places:
        raise LayoutError("found neither img_align_celeba nor img_align_celeba.zip")
    if not labels:
        raise LayoutError(f"found neither {IDENTITIES} nor {PARTITION}, so nobody knows who is shown")
    files, label_file = list_files(places[0]), labels[0]
    known = label_file.name == IDENTITIES
    by_number, skipped = read_identities(label_file) if known else read_partition(label_file)
    images = {}
    for name in files.names:
        match = _NAME.search(name)
        number = match[1] if match else ""
        if not match:
            files.skip(name, "not named 000001.jpg")
        elif number in images:
            files.skip(name, "a second file of this number")
        elif number not in by_number:
            files.skip(name, f"not in {label_file.name}")
        else:
            label = by_number[number]
            images[number] = files.image(
                name, image_id=number, identity=label if known else None, split=None if known else label
            )
    absent = len(by_number) - len(images)
    if absent:
        skipped.append(Skipped(f"{label_file} ({absent} lines)", "names images that are not there"))
    fingerprint = fingerprint_of(files.fingerprint, label_file)
    return make_dataset("celeba", images.values(), fingerprint, [*files.skipped, *skipped])


def read_identities(path: Path) -> tuple[dict[str, str], list[Skipped]]:
    """Person by file name from identity_CelebA.txt, lines "000001.jpg 2880"; and the lines that say something else."""
    identities = {}
    skipped = []
    for line, words in numbered_lines(path):
        if len(words) == 2 and words[1].isdecimal():
            identities[words[0]] = words[1]
        else:
            skipped.append(Skipped(f"{path}:{line}", "not a file name and the number of a person"))
    return identities, skipped


def read_partition(path: Path) -> tuple[dict[str, str], list[Skipped]]:
    """Split by file name from list_eval_partition.txt, lines "000001.jpg 0"; and the lines that say something else."""
    splits = {}
    skipped = []
    for line, words in numbered_lines(path):
        if len(words) == 2 and words[1] in SPLIT_OF_PARTITION:
            splits[words[0]] = SPLIT_OF_PARTITION[words[1]]
        else:
            skipped.append(Skipped(f"{path}:{line}", "not a file name and 0, 1 or 2"))
    return splits, skipped
