"""A dataset as users meet it: what it is, where to get it, under which terms, and what lies where."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import Any

from veil.datasets.dataset import Dataset, LayoutError
from veil.errors import DataError


@dataclass(frozen=True)
class About:
    """What a user must know of a dataset. Veil downloads none but the one marked as fetched.

    Attributes:
        title: its full name.
        content: what it shows and which labels the reader gives.
        layout: what must lie where below 'data.root'.
        url: where to get it; None for data of the user's own.
        licence: terms of use, in short.
        citation: the paper to cite.
        fetched: whether Veil fetches it where 'data.root' is not set.
        picture_credit: line under which its terms let a report show faces of it; None where they do not.
        limits: whom and what it shows, and what results on it therefore do not say; one sentence.
    """

    title: str
    content: str
    layout: str
    url: str | None = None
    licence: str = "your own"
    citation: str = ""
    fetched: bool = False
    picture_credit: str | None = None
    limits: str = ""

    def rows(self) -> dict[str, str]:
        """What there is to tell, by heading."""
        source = "fetched by Veil where data.root is not set" if self.fetched else self.url
        rows = {
            "shows": f"{self.title}: {self.content}",
            "data.root": self.layout,
            "get it from": source,
            "licence": self.licence,
            "cite": self.citation,
            "pictures": f"may be shown in a report: “{self.picture_credit}”" if self.picture_credit else "",
            "limits": self.limits,
        }
        return {heading: text for heading, text in rows.items() if text}


class Reader:
    """A dataset reader with what is known about its dataset; see `described`."""

    def __init__(self, about: About, read: Callable[[Any], Dataset]) -> None:
        self.about = about
        self._read = read
        update_wrapper(self, read)

    def __call__(self, root: Path | None) -> Dataset:
        """Read the dataset below `root`.

        Raises:
            DataError: `root` is not set, does not exist, cannot be read, or holds something else.
        """
        if root is None and not self.about.fetched:
            raise DataError(f"{self.about.title} needs the setting 'data.root': {self.about.layout}{self._source()}")
        try:
            if root is not None and not root.exists():
                raise DataError(f"{root} does not exist; set 'data.root' to {self.about.layout}{self._source()}")
            return self._read(root)
        except LayoutError as error:
            raise DataError(
                f"{root}: {error}; expected {self.about.layout}; change 'data.root'{self._source()}"
            ) from error
        except OSError as error:
            raise DataError(
                f"cannot read {error.filename or root}: {error.strerror or error}; check its permissions or change "
                "'data.root'"
            ) from error

    def _source(self) -> str:
        return f". Get {self.about.title} from {self.about.url} ({self.about.licence})" if self.about.url else ""


def described(about: About) -> Callable[[Callable[[Any], Dataset]], Reader]:
    """Describe a reader `(root) -> Dataset`, which raises LayoutError where its files are not found.

    `root` is a path that exists; for a dataset that Veil fetches it may be None.
    """
    return lambda read: Reader(about, read)
