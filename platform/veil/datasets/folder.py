"""One folder per person, images of any format inside, at any depth."""

import os
from pathlib import Path

from veil.datasets.dataset import Dataset, SourceImage, fingerprint_files, make_dataset, require_folder
from veil.errors import DataError
from veil.registry import datasets

SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})
"""What file managers leave behind; names that begin with a dot are skipped too."""


@datasets.register("folder")
def read_folder(root: Path | None) -> Dataset:
    """Read `root/<person>/**/<image>`. Every file below a person must be an image; files beside the people are ignored.

    Raises:
        DataError: `root` is missing, unreadable or empty, or a person has a single image.
    """
    if root is None:
        raise DataError("dataset 'folder' needs the setting 'data.root': a folder with one folder per person")
    files = list_person_files(root)
    images = [
        SourceImage(
            image_id=path.relative_to(root).as_posix(),
            identity=path.relative_to(root).parts[0],
            path=str(path),
            read=path.read_bytes,
        )
        for path in files
    ]
    if not images:
        raise DataError(f"{root}: found no folder with files, expected {root}/<person>/<image>; change 'data.root'")
    return make_dataset("folder", images, fingerprint_files(files, root), where=str(root))


def list_person_files(root: Path) -> list[Path]:
    """Files below the folders in `root`, sorted, without what file managers leave behind.

    Raises:
        DataError: `root` is missing or not a folder, or a folder cannot be listed.
    """
    require_folder(root)

    def refuse(error: OSError) -> None:
        raise DataError(
            f"cannot list the folder {error.filename}: {error.strerror}; check its permissions or change 'data.root'"
        ) from error

    files = []
    for folder, subfolders, names in os.walk(root, onerror=refuse):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        if Path(folder) != root:
            files += [
                Path(folder, name) for name in names if not name.startswith(".") and name.lower() not in SYSTEM_FILES
            ]
    return sorted(files)
