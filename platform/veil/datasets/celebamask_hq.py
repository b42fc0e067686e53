"""CelebAMask-HQ: 30,000 faces of 1024×1024 with parsing maps drawn by hand."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from veil.datasets.celeba import IDENTITIES, read_identities
from veil.datasets.dataset import Dataset, LayoutError, Skipped, make_dataset
from veil.datasets.files import fingerprint_of, list_files, numbered_lines
from veil.datasets.reader import About, described
from veil.faces.images import UnreadableImageError, decode_image
from veil.faces.parsing import CELEBAMASK_PARTS
from veil.interfaces import FACE_PARTS
from veil.registry import datasets

IMAGES, MASKS, MAPPING = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno", "CelebA-HQ-to-CelebA-mapping.txt"
MASKS_PER_FOLDER = 2000

DRAWN = (
    "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip", "l_lip", "hair",
    "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
"""Order in which the authors draw the masks over each other (g_mask.py)."""

FIRST_VALIDATION, FIRST_TEST = 162_771, 182_638
"""Numbers in CelebA at which the parts begin that the authors divide the images into (g_partition.py)."""

_NAME = re.compile(r"(\d+)\.(?:jpg|png)")


@datasets.register("celebamask_hq")
@described(
    About(
        title="CelebAMask-HQ",
        content="30,000 faces of 1024×1024 with parsing maps; people where CelebA's identities are there",
        layout=f"{IMAGES}/0.jpg … and {MASKS}/0/00000_skin.png … (or the folder CelebAMask-HQ with them); beside them, "
        f"where known, {MAPPING} and CelebA's {IDENTITIES}",
        url="https://github.com/switchablenorms/CelebAMask-HQ",
        licence="non-commercial research",
        citation="Lee, Liu, Wu, Luo: MaskGAN: Towards Diverse and Interactive Facial Image Manipulation, CVPR 2020",
        limits="It shows celebrities, posed and made up, most of them young and most of them white.",
    )
)
def read_celebamask_hq(root: Path) -> Dataset:
    """Read CelebAMask-HQ.

    With the mapping to CelebA and CelebA's identities, people are known; with the mapping alone, the images are divided
    as the authors do; with neither, all of them train.

    Raises:
        DataError: the images or their masks are not there.
    """
    base = root / "CelebAMask-HQ" if (root / "CelebAMask-HQ").is_dir() else root
    missing = [name for name in (IMAGES, MASKS) if not (base / name).is_dir()]
    if missing:
        raise LayoutError(f"found no folder {' and no folder '.join(missing)}")
    files, masks = list_files(base / IMAGES), list_files(base / MASKS)
    mapping, identity_file = base / MAPPING, base / IDENTITIES
    originals: dict[int, str] | None = None
    identities: dict[str, str] | None = None
    skipped: list[Skipped] = []
    if mapping.is_file():
        originals, skipped = read_mapping(mapping)
        if identity_file.is_file():
            identities, problems = read_identities(identity_file)
            skipped += problems
    images = {}
    for name in files.names:
        match = _NAME.fullmatch(name)
        number = int(match[1]) if match else -1
        original = originals.get(number) if originals is not None else None
        identity = identities.get(original) if identities is not None and original is not None else None
        if not match:
            files.skip(name, "not named <number>.jpg")
        elif number in images:
            files.skip(name, "a second file of this number")
        elif originals is not None and original is None:
            files.skip(name, f"not in {MAPPING}")
        elif identities is not None and identity is None:
            files.skip(name, f"not in {IDENTITIES}")
        else:
            images[number] = files.image(
                name,
                image_id=f"{number:05d}",
                identity=identity,
                split=_part_of(original) if identity is None else None,
                read_parsing=Masks(str(masks.root), number),
            )
    labels = [path for path in (mapping, identity_file) if path.is_file()]
    fingerprint = fingerprint_of(files.fingerprint, masks.fingerprint, *labels)
    return make_dataset("celebamask_hq", images.values(), fingerprint, [*files.skipped, *masks.skipped, *skipped])


def read_mapping(path: Path) -> tuple[dict[int, str], list[Skipped]]:
    """File name in CelebA by number, from lines "0 119613 119614.jpg"; and the lines that say something else."""
    originals = {}
    skipped = []
    for line, words in numbered_lines(path):
        if len(words) == 3 and words[0].isdecimal() and re.fullmatch(r"\d+\.jpg", words[2]):
            originals[int(words[0])] = words[2]
        elif line > 1:  # the first line is the header
            skipped.append(Skipped(f"{path}:{line}", "not a number, a number in CelebA and a file name"))
    return originals, skipped


def _part_of(original: str | None) -> str:
    if original is None:
        return "train"
    number = int(original.removesuffix(".jpg")) - 1  # the authors count from 0
    return "train" if number < FIRST_VALIDATION else "search" if number < FIRST_TEST else "sealed"


@dataclass(frozen=True, slots=True)
class Masks:
    """Reads the parsing map of one image from its masks, one file per part.

    Attributes:
        folder: the folder of all masks.
        number: of the image.
    """

    folder: str
    number: int

    def __call__(self) -> np.ndarray:
        """Return uint8 (512, 512), numbers of FACE_PARTS; where several parts overlap, the last of DRAWN.

        Raises:
            OSError: there is no mask, or one cannot be read.
        """
        parsing: np.ndarray | None = None
        for part in DRAWN:
            name = f"{self.number:05d}_{part}.png"
            try:
                with open(os.path.join(self.folder, str(self.number // MASKS_PER_FOLDER), name), "rb") as file:
                    mask = decode_image(file.read())[..., 0]
            except FileNotFoundError:
                continue  # a part that this face does not show
            except UnreadableImageError as error:
                raise OSError(f"{name}: {error}") from error
            if parsing is None:
                parsing = np.full(mask.shape, FACE_PARTS.index("background"), np.uint8)
            if mask.shape != parsing.shape:
                raise OSError(f"{name} has another size than the masks before it")
            parsing[mask > 0] = FACE_PARTS.index(CELEBAMASK_PARTS[part])
        if parsing is None:
            raise OSError(f"no mask {self.number:05d}_*.png")
        return parsing
