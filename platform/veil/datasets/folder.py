"""One folder per person, images of any format inside, at any depth: LFW, Pins and the like."""

import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from veil.datasets.dataset import Dataset, SourceImage, make_dataset, shorten
from veil.datasets.files import list_files
from veil.datasets.reader import About, described
from veil.errors import DataError
from veil.registry import datasets


@datasets.register("folder")
@described(
    About(
        title="a dataset of your own",
        content="people by the name of their folder",
        layout="a folder or zip archive with one folder per person, <person>/**/<image>",
    )
)
def read_folder(root: Path) -> Dataset:
    """Read `root/<person>/**/<image>`.

    Raises:
        DataError: `root` is unreadable or empty, or two people go by one name.
    """
    files = list_files(root)

    def images() -> Iterator[SourceImage]:
        for name in files.names:
            person, below, _ = name.partition("/")
            if below:
                yield files.image(name, image_id=name, identity=person)
            else:
                files.skip(name, "beside the folders of people")

    dataset = make_dataset("folder", images(), files.fingerprint, files.skipped)
    refuse_lookalikes(dataset.identities, str(root))
    return dataset


def refuse_lookalikes(people: Iterable[str], where: str) -> None:
    """Raise a DataError if names differ only in case or in how their letters are encoded: it may be one person."""
    spellings: dict[str, list[str]] = {}
    for person in people:
        spellings.setdefault(unicodedata.normalize("NFKC", person).casefold(), []).append(person)
    alike = [" and ".join(map(repr, names)) for names in spellings.values() if len(names) > 1]
    if alike:
        raise DataError(
            f"{where}: {len(alike)} names of people differ only in case or in the encoding of their letters "
            f"({shorten(alike)}); if they are one person, put their images into one folder, else rename a folder"
        )


def list_person_files(root: Path) -> list[Path]:
    """Files in the folders of `root`, sorted, without what file managers leave behind.

    Raises:
        DataError: a file or folder below `root` cannot be used.
    """
    files = list_files(root)
    if files.skipped:
        path, reason = files.skipped[0]
        raise DataError(f"{path}: {reason}; repair or remove it")
    return [root / name for name in files.names if "/" in name]


def files_by_stem(root: Path, name: str) -> dict[str, Path]:
    """Files in the folders of `root` by their paths below it, without extension and with forward slashes.

    Args:
        root: the folder.
        name: what the user calls it, for messages.

    Raises:
        DataError: the folder is missing or has no folders with files, or one path names two files.
    """
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise DataError(f"{name} {root} {found}; expected a folder with one folder per person")
    files: dict[str, Path] = {}
    for path in list_person_files(root):
        stem = path.relative_to(root).with_suffix("").as_posix()
        if stem in files:
            raise DataError(
                f"{name}: {path.name} and {files[stem].name} in {path.parent} differ in their extension alone, so it "
                "cannot be told which one is meant; remove one"
            )
        files[stem] = path
    if not files:
        raise DataError(f"{name} {root} holds no photographs, expected {root}/<person>/<photograph>")
    return files
