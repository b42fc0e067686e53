"""Commands that choose an operating point and use it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from veil.cli.commands import CommandGroup
from veil.cli.completion import complete_model
from veil.cli.exit_status import ExitStatus
from veil.cli.options import DEFAULT_ROOT, RootOption, StudyArgument
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
    study: StudyArgument = "smoke",
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


@commands.command(
    {
        "veil anonymize photos/ out/ --model face-anonymizer@balanced": "a folder with all below it",
        "veil anonymize party.jpg party.png --model face-anonymizer@balanced": "one photograph, losslessly",
        "veil anonymize clip.mp4 out/ --model face-anonymizer@balanced --audio keep": "a video with its sound",
    },
)
def anonymize(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Photograph, video, or folder of them.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder; of a single file, also the file to write.")],
    model: Annotated[str, typer.Option(help="NAME@ALIAS in the model registry.", autocompletion=complete_model)],
    root: RootOption = DEFAULT_ROOT,
    uri: Annotated[
        str | None, typer.Option(help="Tracking server or database; without it, that of the studies.")
    ] = None,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where faces are found and measured.")] = "cpu",
    on_missing: Annotated[
        Literal["blackout", "fail"],
        typer.Option(help="Where a face cannot be anonymized, or none is found: blacken that, or refuse the file."),
    ] = "blackout",
    audio: Annotated[
        Literal["keep", "drop"], typer.Option(help="Sound of videos; voices tell people apart as faces do.")
    ] = "drop",
    format_: Annotated[
        Literal["same", "png"], typer.Option("--format", help="Of photographs; PNG keeps the rest to the byte.")
    ] = "same",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make files anew that are there; without it, what is done is skipped.")
    ] = False,
) -> None:
    """Anonymize the faces of photographs and videos with a registered model."""
    from veil.anonymizing.session import Request
    from veil.anonymizing.session import anonymize as run
    from veil.tracking import local_uri

    request = Request(source, out, model, uri or local_uri(root), device, on_missing, audio, format_, overwrite)
    if not run(request, console):
        raise typer.Exit(ExitStatus.INCOMPLETE)
