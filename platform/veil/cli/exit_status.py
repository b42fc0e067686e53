"""What the exit status of every command means, for scripts that call Veil."""

from enum import IntEnum

from veil.errors import RefusedError, VeilError


class ExitStatus(IntEnum):
    """Exit statuses; the text beside each is what `veil --help` prints."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> "ExitStatus":
        """A status with its meaning."""
        status = int.__new__(cls, value)
        status._value_ = value
        status.meaning = meaning
        return status

    OK = 0, "all that was asked for is done"
    CRASHED = 1, "a defect of Veil: the traceback says where"
    ERROR = 2, "not done: the message says what was found, what was expected and which setting to change"
    INCOMPLETE = 3, "done, but not all of it is good: failed trials, an invalid score, files left out"
    REFUSED = 4, "measured and refused: no point keeps the budget on sealed people, so nothing is registered"
    STOPPED = 130, "stopped by Ctrl-C; the same command, or `veil resume`, goes on"

    @classmethod
    def of(cls, error: VeilError) -> "ExitStatus":
        """Status with which a known error ends a command."""
        return cls.REFUSED if isinstance(error, RefusedError) else cls.ERROR
