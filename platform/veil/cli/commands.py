"""How a command is declared: the panel it stands in, its examples, and the option that all commands share."""

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, TypeVar

import typer
from rich.markup import escape

from veil.cli.terminal import console

Function = TypeVar("Function", bound=Callable[..., Any])

QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but errors, and data that was asked for.")
]


class CommandGroup:
    """Commands that stand in one panel of `veil --help`, in the order of their declaration.

    Args:
        panel: heading of the panel.
    """

    def __init__(self, panel: str) -> None:
        self.typer = typer.Typer()
        self._panel = panel

    def command(self, examples: Mapping[str, str], name: str | None = None) -> Callable[[Function], Function]:
        """Declare the decorated function as a command, which gets the option `--quiet` beside its own.

        Args:
            examples: what a command line does, by command line, at least one; they end the command's `--help`.
            name: of the command, where it is not the function's.
        """
        lines = [f"[cyan]{escape(line)}[/cyan]  [dim]{escape(does)}[/dim]" for line, does in examples.items()]
        epilog = "\n".join(["[bold]Examples[/bold]", *lines])

        def declare(function: Function) -> Function:
            self.typer.command(name, epilog=epilog, rich_help_panel=self._panel)(_quietable(function))
            return function

        return declare


def be_quiet(wanted: bool) -> None:
    """Silence tables, progress and remarks of this command where that is wanted."""
    if wanted:
        console.quiet = True


def _quietable(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with an option `--quiet` behind its own, so that it is understood behind a command's name too."""

    @wraps(function)
    def run(*, quiet: bool, **settings: Any) -> Any:
        be_quiet(quiet)
        return function(**settings)

    own = signature(function)
    quiet = Parameter("quiet", Parameter.KEYWORD_ONLY, default=False, annotation=QuietOption)
    run.__signature__ = own.replace(parameters=[*own.parameters.values(), quiet])  # type: ignore[attr-defined]
    run.__annotations__ = {**function.__annotations__, "quiet": QuietOption}
    return run
