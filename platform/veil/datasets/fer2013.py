"""FER-2013: 35,887 grey faces of 48×48, each with one of seven expressions; of no face it is known whose it is."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from veil.datasets.dataset import Dataset, LayoutError, Skipped, SourceImage, make_dataset
from veil.datasets.files import fingerprint_of, list_files
from veil.datasets.reader import About, described
from veil.errors import DataError
from veil.interfaces import EXPRESSIONS
from veil.registry import datasets

CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
SIDE = 48
SPLIT_OF_USAGE = {"Training": "train", "PublicTest": "search", "PrivateTest": "sealed"}
SPLIT_OF_FOLDER = {"train": "train", "validation": "search", "test": "sealed"}

# Kaggle's folders keep what the CSV calls Usage in the names of the files alone: its "test" holds both tests.
_NAME = re.compile(r"(?:^|/)((train|validation|test)/([^/]+)/(?:(Training|PublicTest|PrivateTest)_)?[^/]+)$")


@datasets.register("fer2013")
@described(
    About(
        title="FER-2013",
        content="35,887 faces of 48×48 with one of 7 expressions, no identities; its own Training, PublicTest and "
        "PrivateTest become train, search and sealed",
        layout="fer2013.csv or icml_face_data.csv (or the folder fer2013 with it), or a folder or zip archive with "
        "{train,validation,test}/<expression>/<image>, validation being optional",
        url="https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge",
        licence="research use",
        citation="Goodfellow et al.: Challenges in Representation Learning, ICONIP 2013",
        limits="It holds small grey images from a web search, some in several parts, with labels that people often "
        "dispute.",
    )
)
def read_fer2013(root: Path) -> Dataset:
    """Read FER-2013 from its CSV file, or as image files in folders.

    Raises:
        DataError: neither is there, or the CSV file has other columns.
    """
    table = find_csv(root)
    return _read_folders(root) if table is None else _read_csv(table)


def find_csv(root: Path) -> Path | None:
    """The CSV file that `root` is, or that lies in it or in its folder fer2013; None if there is none."""
    if root.suffix == ".csv":
        return root
    places = (folder / name for folder in (root, root / "fer2013") for name in CSV_NAMES)
    return next((path for path in places if path.is_file()), None)


def _read_folders(root: Path) -> Dataset:
    files = list_files(root / "fer2013" if (root / "fer2013").is_dir() else root)
    images = []
    for name in files.names:
        match = _NAME.search(name)
        if match is None:
            files.skip(name, "not in {train,validation,test}/<expression>")
            continue
        image_id, folder, expression, usage = match.groups()
        split = SPLIT_OF_USAGE[usage] if usage else SPLIT_OF_FOLDER[folder]
        if expression not in EXPRESSIONS:
            files.skip(name, f"in the folder {expression!r}, which is none of the 7 expressions")
        elif split != SPLIT_OF_FOLDER[folder] and (usage, folder) != ("PublicTest", "test"):
            files.skip(name, f"named {usage}, but in the folder {folder!r}")
        else:
            images.append(files.image(name, image_id=image_id, identity=None, expression=expression, split=split))
    return make_dataset("fer2013", images, files.fingerprint, files.skipped)


def _read_csv(path: Path) -> Dataset:
    images, skipped = [], []
    for row in read_rows(path):
        if row.problem is not None:
            skipped.append(Skipped(row.path, row.problem))
        else:
            images.append(row.image(EXPRESSIONS[int(row.emotion)]))
    return make_dataset("fer2013", images, fingerprint_of(path), skipped)


@dataclass(frozen=True, slots=True)
class CsvPixels:
    """Reads the pixels of one row as a PGM file, the plainest of image formats: exact, and the same everywhere.

    Attributes:
        path: the CSV file.
        offset: of the row, in bytes.
        column: number of the column with the pixels.
    """

    path: str
    offset: int
    column: int

    def __call__(self) -> bytes:
        """Return the content of the image file.

        Raises:
            OSError: the file cannot be read, or the row does not hold 48×48 values of 0 to 255.
        """
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            line = file.readline()
        try:
            pixels = bytes(map(int, _fields(line)[self.column].split()))
        except (ValueError, IndexError) as error:
            raise OSError(f"the row does not hold pixels ({error})") from error
        if len(pixels) != SIDE * SIDE:
            raise OSError(f"the row holds {len(pixels)} pixels, expected {SIDE * SIDE}")
        return f"P5 {SIDE} {SIDE} 255\n".encode() + pixels


class Row(NamedTuple):
    """One row of the CSV file.

    Attributes:
        number: from 0, the header not counted.
        emotion: number among EXPRESSIONS, as text.
        usage: "Training", "PublicTest" or "PrivateTest".
        pixels: how to read it.
        problem: why it cannot be used, if so.
    """

    number: int
    emotion: str
    usage: str
    pixels: CsvPixels
    problem: str | None

    @property
    def path(self) -> str:
        """Where the row is, for people, counting lines from 1."""
        return f"{self.pixels.path}:{self.number + 2}"

    def image(self, expression: str | None, distribution: tuple[float, ...] | None = None) -> SourceImage:
        """The row as an image, named as FER+ names it."""
        return SourceImage(
            image_id=f"fer{self.number:07d}",
            identity=None,
            path=self.path,
            read=self.pixels,
            expression=expression,
            label_distribution=distribution,
            split=SPLIT_OF_USAGE[self.usage],
        )


def read_rows(path: Path) -> Iterator[Row]:
    """All rows of fer2013.csv or icml_face_data.csv; the values of the pixels are not looked at.

    Raises:
        DataError: the file cannot be read or has other columns.
    """
    try:
        with path.open("rb") as file:
            header = [name.strip().lower() for name in _fields(file.readline())]
            try:
                emotion, usage, pixels = (header.index(name) for name in ("emotion", "usage", "pixels"))
            except ValueError:
                raise LayoutError(
                    f"{path.name} has the columns {', '.join(header)[:200]}, expected emotion, pixels and Usage"
                ) from None
            number = 0
            offset = file.tell()
            while line := file.readline():
                fields = _fields(line)
                if fields:
                    problem = _problem_of(fields, len(header), emotion, usage, pixels)
                    label, part = (fields[emotion], fields[usage].strip()) if problem is None else ("", "")
                    yield Row(number, label, part, CsvPixels(str(path), offset, pixels), problem)
                    number += 1
                offset = file.tell()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check its permissions or 'data.root'") from error


def _fields(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode("utf-8-sig", errors="replace")]), [])
    except csv.Error:  # a field too large to be a row of pixels
        return [""]


def _problem_of(fields: Sequence[str], width: int, emotion: int, usage: int, pixels: int) -> str | None:
    if len(fields) != width:
        return "a row of another length than the header"
    if fields[emotion].strip() not in map(str, range(len(EXPRESSIONS))):
        return "an emotion other than 0 to 6"
    if fields[usage].strip() not in SPLIT_OF_USAGE:
        return "a Usage other than Training, PublicTest and PrivateTest"
    count = fields[pixels].strip().count(" ") + 1
    return None if count == SIDE * SIDE else f"{count} pixels instead of {SIDE * SIDE}"
