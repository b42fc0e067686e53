"""The ORL (AT&T) database of faces: 40 people, 10 grey photographs of 92×112 each, in folders s1 to s40."""

import re
from pathlib import Path

from veil.assets import fetch
from veil.datasets.dataset import Dataset, make_dataset
from veil.datasets.files import list_files
from veil.datasets.reader import About, described
from veil.registry import datasets

_NAME = re.compile(r"(?:^|/)(s\d+)/(\d+)\.pgm$")


@datasets.register("orl")
@described(
    About(
        title="ORL (AT&T) Database of Faces",
        content="40 people, 400 photographs",
        layout="a folder or zip archive with s1/1.pgm … s40/10.pgm; not set, Veil fetches it",
        url="https://cam-orl.co.uk/facedatabase.html",
        licence="free for research; credit to AT&T Laboratories Cambridge",
        citation="Samaria, Harter: Parameterisation of a Stochastic Model for Human Face Identification, WACV 1994",
        fetched=True,
        picture_credit="Photographs: AT&T Laboratories Cambridge",
        limits="It shows 40 people of one laboratory, mostly young, white and male, in grey frontal photographs of "
        "1992 to 1994: numbers do not carry over to other people or cameras.",
    )
)
def read_orl(root: Path | None) -> Dataset:
    """Read ORL from a folder `root/s*/*.pgm`, a zip archive that holds such folders, or the asset if `root` is None.

    Raises:
        DataError: the folder or archive is unreadable, or holds no such images.
        AssetError: the asset cannot be fetched.
    """
    files = list_files(fetch("orl_faces") if root is None else root)
    images = []
    for name in files.names:
        if match := _NAME.search(name):
            person, number = match.groups()
            images.append(files.image(name, image_id=f"{person}/{number}", identity=person))
        else:
            files.skip(name, "not named s<person>/<number>.pgm")
    return make_dataset("orl", images, files.fingerprint, files.skipped)
