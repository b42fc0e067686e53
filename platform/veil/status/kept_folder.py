"""A study folder that is looked at again and again: what never changes is read once."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from veil.protocol.measurement import Spread
from veil.study import StudyFolder, TrialRecord

TAIL_BYTES = 8192
"""Of a growing file; its last line is much shorter."""


class KeptFolder(StudyFolder):
    """A study folder that keeps the finished trials it has read; `refresh` looks for new ones."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._records: dict[int, TrialRecord] = {}
        self._spreads: dict[int, Mapping[str, Spread]] = {}
        self.finished_at: dict[int, float] = {}
        """When each finished trial was published, by its number, Unix times."""
        self.unfinished: list[int] = []
        """Numbers of the trials that have a folder and no record."""

    def refresh(self) -> bool:
        """Read the trials that have finished since the last time; whether there are any.

        Raises:
            VeilError: a record is damaged, or another version of Veil wrote it.
        """
        try:
            with os.scandir(self.path / "trials") as entries:
                there = sorted(int(entry.name) for entry in entries if entry.name.isdecimal())
        except FileNotFoundError:
            there = []
        before = len(self._records)
        for number in there:
            if number not in self._records and (record := self.record(number)) is not None:
                self._records[number] = record
                self.finished_at[number] = self.record_path(number).stat().st_mtime
        self.unfinished = [number for number in there if number not in self._records]
        return len(self._records) > before

    def records(self) -> list[TrialRecord]:
        """Records of the trials that had finished at the last `refresh`, in order of their numbers."""
        return [self._records[number] for number in sorted(self._records)]

    def has_spreads(self, number: int) -> bool:
        """Whether they were kept."""
        return number in self._spreads or super().has_spreads(number)

    def spreads(self, number: int) -> dict[str, Spread]:
        """As they were read the first time."""
        if number not in self._spreads:
            self._spreads[number] = super().spreads(number)
        return dict(self._spreads[number])

    def attempts_at(self, number: int) -> list[dict[str, Any]]:
        """When and where each process started to work on a trial, first to last."""
        return _objects(self.trial(number) / "attempts.jsonl")

    def images_seen(self, number: int) -> int | None:
        """By a trial's training, as it last reported; None where it has not."""
        lines = _objects(self.progress_path(number))
        return int(lines[-1]["progress/images"]) if lines else None


def _objects(path: Path) -> list[dict[str, Any]]:
    """The last whole lines of a file with one JSON object a line; none where there is no file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL_BYTES, 0))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    if size > TAIL_BYTES:
        lines = lines[1:]
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # Empty, or a process is writing it, or was killed while it wrote.
    return found
