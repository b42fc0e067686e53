"""Every error a user of Veil can meet: what was found, what was expected and which setting to change."""

from collections.abc import Iterable
from difflib import get_close_matches


class VeilError(Exception):
    """Base of all errors that the command line prints as one clear message."""


class ConfigError(VeilError):
    """A setting is unknown, out of range, or contradicts another."""


class DataError(VeilError):
    """A dataset folder, image or face table cannot be used."""


class AssetError(VeilError):
    """A weight file or dataset archive is missing, has the wrong hash, or cannot be fetched."""


class ProtocolError(VeilError):
    """The evaluation protocol refuses to score: the number would not mean what it says."""


class RefusedError(ProtocolError):
    """What was measured on sealed people does not keep what was asked for."""


class StorageError(VeilError):
    """A disk is full, or cannot be written any more: whatever is running has to stop until that is mended."""


class DivergedError(VeilError):
    """Training produced a loss that is not finite."""


class StoppedEarlyError(VeilError):
    """A trial ends before its training does, because others of its rung are more promising.

    Attributes:
        images: seen by its training.
    """

    def __init__(self, message: str, images: int) -> None:
        super().__init__(message)
        self.images = images


class TrackingError(VeilError):
    """The tracking server or its database cannot be used."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint naming the closest known name and all choices.

    >>> nearest("blurr", ["blur", "pixelate"])
    "did you mean 'blur'? known: blur, pixelate"
    """
    choices = sorted(known)
    matches = get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"did you mean {matches[0]!r}? " if matches else ""
    return f"{hint}known: {', '.join(choices) or '(none)'}"
