"""The command line: one command a step, from faces to a registered operating point.

A command is a function in the module of its panel: `starting`, `running`, `reading` or `using`.
"""

import os
import sys
from typing import Annotated

import typer
from rich.markup import escape

from veil import __version__
from veil.cli import reading, running, starting, using
from veil.cli.commands import QuietOption, be_quiet
from veil.cli.exit_status import ExitStatus
from veil.cli.terminal import console, errors
from veil.errors import VeilError

__all__ = ["ExitStatus", "app", "main"]

PANELS = (starting, running, reading, using)

EPILOG = "\n".join(
    ["[bold]Exit status[/bold]", *(f"[cyan]{status:3d}[/cyan]  {escape(status.meaning)}" for status in ExitStatus)]
)

app = typer.Typer(
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for panel in PANELS:
    app.add_typer(panel.commands.typer)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"Veil {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Print the version and exit.", callback=_print_version)
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """How much privacy a face anonymizer really buys, and what it costs in facial expression."""
    console.quiet = False
    be_quiet(quiet)


def main() -> None:
    """Run the command line; every known error is one message and a non-zero exit status."""
    try:
        app()
    except VeilError as error:
        errors.print(f"[bold red]{type(error).__name__}[/bold red]: ", end="")
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        # Ray's threads may still be alive; nothing of theirs is worth waiting for.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ExitStatus.of(error))
