"""Labeled Faces in the Wild: one folder per person, files named after them and numbered."""

import re
from pathlib import Path

from veil.datasets.dataset import Dataset, LayoutError, make_dataset
from veil.datasets.files import list_files
from veil.datasets.reader import About, described
from veil.registry import datasets

VERSIONS = ("lfw_funneled", "lfw-deepfunneled", "lfw")
"""Folders that the archives of LFW unpack to: aligned in two ways, and as published."""

_NAME = re.compile(r"([^/]+)/\1_\d{4}\.jpg")


@datasets.register("lfw")
@described(
    About(
        title="Labeled Faces in the Wild",
        content="5,749 people, 13,233 photographs; 4,069 people have a single one and only train",
        layout="lfw-py/lfw_funneled/<person>/<person>_0001.jpg as torchvision keeps it, or the folder that lfw.tgz, "
        "lfw-funneled.tgz or lfw-deepfunneled.tgz unpacks to",
        url="https://vis-www.cs.umass.edu/lfw/",
        licence="research use; photographs from news media, rights with their owners",
        citation="Huang, Ramesh, Berg, Learned-Miller: Labeled Faces in the Wild, UMass Amherst TR 07-49, 2007",
        limits="It shows public figures in news photographs, most of them men and most of them white.",
    )
)
def read_lfw(root: Path) -> Dataset:
    """Read one version of LFW.

    Raises:
        DataError: there is none, or there are several.
    """
    files = list_files(_find_version(root))
    images = []
    for name in files.names:
        if match := _NAME.fullmatch(name):
            images.append(files.image(name, image_id=name, identity=match[1]))
        else:
            files.skip(name, "not named <person>/<person>_0001.jpg")
    return make_dataset("lfw", images, files.fingerprint, files.skipped)


def _find_version(root: Path) -> Path:
    if not root.is_dir():
        raise LayoutError("is a file (unpack an archive with `tar -xzf`)")
    found = [path for parent in (root, root / "lfw-py") for name in VERSIONS if (path := parent / name).is_dir()]
    if len(found) > 1:
        raise LayoutError(f"found {len(found)} versions: {', '.join(map(str, found))}, of which one is to be chosen")
    return found[0] if found else root
