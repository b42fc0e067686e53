"""Commands that choose an operating point and use it."""

from typing import Annotated

import typer

from veil.cli.commands import CommandGroup
from veil.cli.options import DEFAULT_ROOT, RootOption
from veil.cli.terminal import console
from veil.study import StudyFolder

commands = CommandGroup("Use")


@commands.command(
    {
        "veil pick smoke --max-leak 0.5": "most utility within a budget",
        "veil pick smoke --knee --register face-anonymizer@balanced": "the knee, into the registry",
    },
)
def pick(
    study: Annotated[str, typer.Argument(help="Name of the study.")] = "smoke",
    root: RootOption = DEFAULT_ROOT,
    max_leak: Annotated[float | None, typer.Option(help="Largest leak allowed, 0 to 1.")] = None,
    min_utility: Annotated[float | None, typer.Option(help="Smallest utility allowed, 0 to 1.")] = None,
    knee: Annotated[bool, typer.Option("--knee", help="Take the knee of the frontier.")] = False,
    trial: Annotated[int | None, typer.Option(help="Take this trial.")] = None,
    register: Annotated[str | None, typer.Option(help="NAME@ALIAS in the model registry.")] = None,
) -> None:
    """Choose an operating point, rescore it on sealed people with the report recognizer, and register it."""
    from veil.picking import Budget, pick_point

    pick_point(StudyFolder(root / study), Budget(max_leak, min_utility, knee, trial), register, console)
