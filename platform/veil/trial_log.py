"""The study's trials as Optuna keeps them: a journal that one driver appends to and anybody may read meanwhile.

A journal is replayed in memory, so that a sampler asks without a database, and is a plain file that a network file
system serves as well as a local one.
"""

from collections.abc import Container
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import OptunaError
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from veil.errors import DataError
from veil.study import StudyFolder

optuna.logging.set_verbosity(optuna.logging.WARNING)

UNREADABLE = (OptunaError, ValueError, KeyError, TypeError, AssertionError, OSError)
"""What Optuna raises, replaying a file that is no journal of this study."""

_LOCK_SUFFIX = ".lock"


class ReadOnlyJournal(JournalFileBackend):
    """A journal that whoever looks at it cannot change."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Refuse.

        Raises:
            DataError: always.
        """
        raise DataError("a study's trials can only be looked at here; `veil sweep` and `veil resume` change them")


def stored_trials(folder: StudyFolder, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
    """Trials of a study in order of their numbers, read beside a driver that may be writing.

    Args:
        folder: of the study.
        states: which; None takes all.

    Raises:
        DataError: the journal cannot be read.
    """
    if not folder.optuna_path.exists():
        raise DataError(f"cannot read {folder.optuna_path}: there is no such file; run `veil resume {folder.name}`")
    try:
        storage = JournalStorage(ReadOnlyJournal(str(folder.optuna_path)))
        trials = storage.get_all_trials(storage.get_study_id_from_name(folder.name), deepcopy=False)
    except UNREADABLE as error:
        raise DataError(f"cannot read the study's journal {folder.optuna_path}: {error!r}; it is damaged") from error
    return [trial for trial in trials if states is None or trial.state in states]


def finished_trials(folder: StudyFolder) -> list[FrozenTrial]:
    """Trials of a study that have objectives.

    Raises:
        DataError: the journal cannot be read.
    """
    return stored_trials(folder, (TrialState.COMPLETE,))


def open_journal(path: Path) -> JournalStorage:
    """Open a study's journal to write, after its one writer may have been killed, or have filled the disk.

    Call it as the only writer: half a last line, which nobody has relied on, and a lock that is left are removed.

    Raises:
        ValueError: the file is no journal.
        OSError: it cannot be written.
    """
    path.parent.joinpath(path.name + _LOCK_SUFFIX).unlink(missing_ok=True)
    if path.exists():
        with path.open("r+b") as file:
            written = file.read()
            half_line = written[written.rfind(b"\n") + 1 :]
            if half_line and not half_line.startswith(b"{"):
                raise ValueError("its last line is none of a journal")
            file.truncate(len(written) - len(half_line))
    return JournalStorage(JournalFileBackend(str(path)))
