"""What was done to which file, by which model: one JSON object a line, and what resuming goes by.

It holds hashes of files, places and numbers, and nothing that was measured on a face.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from veil.atomic import replace_when_complete
from veil.config import Settings
from veil.errors import ConfigError, DataError

NAME = "veil-manifest.jsonl"


def digest(path: Path) -> str:
    """SHA-256 of a file as it is now, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Recipe(Settings):
    """What decides, beside the input, how an output looks.

    Attributes:
        point: name and alias of the model, as they were asked for.
        version: of the model.
        files_sha256: of the model's own files.
        crop_contract: hash of the contract that its crops follow.
        veil: version.
        on_missing: what was done where no face could be anonymized.
        audio: what was done to sound.
        format: of photographs.
    """

    point: str
    version: str
    files_sha256: str
    crop_contract: str
    veil: str
    on_missing: Literal["blackout", "fail"]
    audio: Literal["keep", "drop"]
    format: Literal["same", "png"]

    @property
    def essence(self) -> dict[str, str]:
        """All but names: two recipes with equal essence give the same output."""
        return self.model_dump(exclude={"point", "version", "veil"})


class Entry(Settings):
    """What was done to one file.

    Attributes:
        time: when, UTC.
        input: path below the input folder.
        input_sha256: of its content.
        output: path below the folder of this manifest; None where nothing was written.
        output_sha256: of its content; None where nothing was written.
        refused: why nothing was written, None where something was.
        recipe: how.
        anonymized: faces of a photograph, or faces of frames of a video, that were anonymized.
        blacked_out: those that were blacked out instead.
        black: photographs, or frames of a video, that are wholly black, for no face was found in them.
        faces: what was done to each face: of a photograph, where; of a video, when.
        notes: what else there is to say.
    """

    time: str
    input: str
    input_sha256: str | None
    output: str | None = None
    output_sha256: str | None = None
    refused: str | None = None
    recipe: Recipe
    anonymized: int = 0
    blacked_out: int = 0
    black: int = 0
    faces: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


class Manifest:
    """The manifest of an output folder.

    Args:
        folder: that it lies in; it may hold a manifest already.

    Attributes:
        done: last entry of each output, by its path below the folder.

    Raises:
        ConfigError: the folder holds a file of that name that is no manifest.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.done: dict[str, Entry] = {}
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            entry = self._parse(line, number)
            if entry.output is not None:
                self.done[entry.output] = entry
        if whole != text:  # a process was killed while it wrote the last line
            with replace_when_complete(self.path) as temporary:
                temporary.write_text(whole, encoding="utf-8")

    def _parse(self, line: str, number: int) -> Entry:
        try:
            values = json.loads(line)
        except ValueError:
            values = None
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"{self.path}, line {number}, is no entry of a manifest; move the file away, or choose another folder"
            )
        return Entry.parse(dict(values), where=f"{self.path}, line {number}")

    def is_ours(self, output: Path) -> bool:
        """Whether a file is as this manifest says that it was written."""
        entry = self.done.get(self._name(output))
        return entry is not None and output.is_file() and digest(output) == entry.output_sha256

    def entry(self, output: Path) -> Entry | None:
        """The last entry about an output, None if there is none."""
        return self.done.get(self._name(output))

    def add(self, entry: Entry) -> None:
        """Append an entry; it stands there whole or not at all.

        Raises:
            DataError: it cannot be written.
        """
        try:
            with self.path.open("ab") as file:
                end = file.tell()
                try:
                    file.write(entry.model_dump_json().encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    os.truncate(self.path, end)
                    raise
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {error.strerror}; choose another folder") from error
        if entry.output is not None:
            self.done[entry.output] = entry

    def _name(self, output: Path) -> str:
        return output.relative_to(self.folder).as_posix()
