"""The ORL (AT&T) database of faces: 40 people, 10 grey photographs of 92×112 each, in folders s1 to s40."""

import hashlib
import re
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from veil.assets import fetch
from veil.datasets.dataset import Dataset, SourceImage, fingerprint_files, make_dataset
from veil.datasets.folder import list_person_files
from veil.errors import DataError
from veil.registry import datasets

_MEMBER = re.compile(r"(?:^|/)(s\d+)/(\d+)\.pgm$")


@datasets.register("orl")
def read_orl(root: Path | None) -> Dataset:
    """Read ORL from a folder `root/s*/*.pgm`, a zip archive that holds such folders, or the asset if `root` is None.

    Raises:
        DataError: the folder or archive is missing or unreadable, or holds no such images.
        AssetError: the asset cannot be fetched.
    """
    if root is not None and root.is_dir():
        return _read_tree(root)
    return _read_archive(fetch("orl_faces") if root is None else root)


def _read_tree(root: Path) -> Dataset:
    files = {path: match for path in list_person_files(root) if (match := _MEMBER.search(path.as_posix()))}
    if not files:
        raise DataError(
            f"{root}: found no s<person>/<number>.pgm; 'data.root' must name the folder that holds s1 … s40"
        )
    images = [_image(match, str(path), path.read_bytes) for path, match in files.items()]
    return make_dataset("orl", images, fingerprint_files(files, root), where=str(root))


def _read_archive(path: Path) -> Dataset:
    if not path.exists():
        raise DataError(f"{path} does not exist; set 'data.root' to the folder or zip archive of ORL, or leave it out")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name: match for name in archive.namelist() if (match := _MEMBER.search(name))}
            contents = {name: archive.read(name) for name in members}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a readable zip archive ({error}); change 'data.root'") from error
    if not members:
        raise DataError(f"{path}: found no s<person>/<number>.pgm in the archive; change 'data.root'")
    images = [_image(match, f"{path}!{name}", partial(bytes, contents[name])) for name, match in members.items()]
    return make_dataset("orl", images, hashlib.sha256(path.read_bytes()).hexdigest(), where=str(path))


def _image(match: re.Match[str], path: str, read: Callable[[], bytes]) -> SourceImage:
    person, number = match.groups()
    return SourceImage(image_id=f"{person}/{number}", identity=person, path=path, read=read)
