"""A study folder that is looked at again and again: what never changes is read once."""

import os
from collections.abc import Mapping
from pathlib import Path

from veil.protocol.measurement import Spread
from veil.records import TrialRecord
from veil.study import StudyFolder


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
