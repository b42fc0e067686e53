"""Where the command line writes: results to standard output, errors to standard error."""

import sys

from rich.console import Console

PIPE_WIDTH = 140

# Into a file or a pipe, tables get the width they need instead of rich's 80 columns.
console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
errors = Console(stderr=True)
