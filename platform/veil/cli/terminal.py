"""Where the command line writes: results to standard output, errors to standard error."""

import sys
from pathlib import Path

from rich.console import Console

from veil.atomic import replace_when_complete

PIPE_WIDTH = 140

# Into a file or a pipe, tables get the width they need instead of rich's 80 columns.
console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
errors = Console(stderr=True)

STANDARD_OUTPUT = Path("-")


def write_data(path: Path, text: str) -> None:
    """Write data that a user asked for to a file, whole or not at all, or as it is to standard output ("-").

    Raises:
        DataError: the file cannot be written.
    """
    if path == STANDARD_OUTPUT:
        sys.stdout.write(text)
        return
    with replace_when_complete(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
