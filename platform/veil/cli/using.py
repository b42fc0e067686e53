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
        "veil pick smoke --max-leak 0.5 --explain": "see which point a budget leads to, and why; nobody is looked at",
        "veil pick smoke --max-leak 0.5 --tries 3": "rescore on sealed people; go on where a point breaks the budget",
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
    conservative: Annotated[
        bool, typer.Option("--conservative", help="Judge by the unfavourable ends of intervals, not by the values.")
    ] = False,
    register: Annotated[str | None, typer.Option(help="NAME@ALIAS in the model registry.")] = None,
    tries: Annotated[
        int, typer.Option(min=1, help="Candidates to look at: the next one where a sealed score is refused.")
    ] = 1,
    explain: Annotated[
        bool, typer.Option("--explain", help="Explain the choice and stop, without a look at the sealed people.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="One setting of `sealed`, for example sealed.attacker_seeds=5."),
    ] = None,
) -> None:
    """Choose an operating point, rescore it on sealed people by all attackers, and register it."""
    from veil.picking import Budget, pick_point

    budget = Budget(max_leak, min_utility, knee, trial, conservative)
    pick_point(StudyFolder(root / study), budget, register, console, tries, explain, set_ or ())
