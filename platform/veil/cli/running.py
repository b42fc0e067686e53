"""Commands that measure: sweeps of trials, and attacks on one anonymizer."""

import sys
from json import dumps
from pathlib import Path
from time import time
from typing import Annotated

import typer
from rich.markup import escape

from veil.cli.commands import CommandGroup
from veil.cli.completion import complete_study
from veil.cli.exit_status import ExitStatus
from veil.cli.options import (
    DEFAULT_ROOT,
    ConfigOption,
    OpenOption,
    PresetOption,
    RootOption,
    SetOption,
    StudyArgument,
    load_config,
)
from veil.cli.terminal import console, errors, write_data
from veil.config import StudyConfig
from veil.errors import ConfigError
from veil.study import StudyFolder

commands = CommandGroup("Measure")


@commands.command(
    {
        "veil sweep": "a first study, in minutes",
        "veil sweep --preset frontier --set search.trials=60": "every family of methods",
        "veil sweep --config study.yaml --address auto": "on a Ray cluster",
    },
)
def sweep(
    config: ConfigOption = None,
    preset: PresetOption = "smoke",
    set_: SetOption = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster to join; `auto` on its head node.")] = None,
) -> None:
    """Run a study: train, attack and score every trial. A study that exists already is continued."""
    _run(load_config(config, preset, set_), address)


@commands.command(
    {
        "veil resume smoke": "go on after a stop",
        "veil resume smoke --trials 40": "search on",
    },
)
def resume(
    study: StudyArgument,
    root: RootOption = DEFAULT_ROOT,
    trials: Annotated[int | None, typer.Option(help="New total number of trials.")] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster to join.")] = None,
) -> None:
    """Continue a study that was stopped or killed: no finished trial is lost, none runs twice."""
    config = StudyFolder(root / study).config()
    if trials is not None:
        search = config.search.model_copy(update={"trials": trials})
        config = config.model_copy(update={"search": search})
    _run(config, address)


def _run(config: StudyConfig, address: str | None) -> None:
    from veil.reporting import print_study, print_times, study_page
    from veil.sweep.driver import run_study

    result = run_study(config, console, address)
    folder = StudyFolder(config.folder)
    print_study(config, folder, console)
    print_times(result.records, result.seconds, console)
    console.print(f"\npage            {study_page(folder)}", highlight=False)
    if any(record.score is not None and record.state == "valid" for record in result.records):
        console.print(f"report          veil report {config.study} --root {config.root}", highlight=False)
    uri = config.tracking.uri
    tracked = f"{uri}, experiment {config.study}" if uri is not None else f"veil ui --root {config.root}"
    console.print(f"MLflow          {tracked}", highlight=False)
    if result.remaining:
        joined = f" --address {address}" if address is not None else ""
        console.print(f"{result.remaining} trials are left: veil resume {config.study} --root {config.root}{joined}")
        raise typer.Exit(ExitStatus.STOPPED)
    failed = [record for record in result.records if record.state == "failed"]
    if failed:
        errors.print(f"[red]error[/red]: {len(failed)} trials failed: {failed[0].reason}")
        raise typer.Exit(ExitStatus.INCOMPLETE)


@commands.command(
    {
        "veil status smoke": "what runs, what is left and why trials failed; stays while the study runs",
        "veil status --root /data/studies": "a line for each study",
        "veil status smoke --json - | jq .outcomes": "the same as data",
    },
)
def status(
    study: Annotated[
        str | None,
        typer.Argument(help="Name of the study; without it, all of them.", autocompletion=complete_study),
    ] = None,
    root: RootOption = DEFAULT_ROOT,
    once: Annotated[bool, typer.Option("--once", help="Print once, also while the study runs.")] = False,
    json: Annotated[
        Path | None, typer.Option("--json", help="File for the same as data; - is standard output.")
    ] = None,
) -> None:
    """Show how far a study is: what runs, where and for how long, what it has reached, and why trials failed.

    Read from the study's folder alone, on any machine that sees it; its driver is not disturbed.
    """
    from veil.status.show import look_at_studies, show_studies, show_study
    from veil.status.watch import StudyWatch

    if study is not None and json is not None:
        write_data(json, StudyWatch(root / study).look(time()).model_dump_json(indent=2) + "\n")
    elif study is not None:
        show_study(root / study, console, follow=sys.stdout.isatty() and not once and not console.quiet)
    else:
        found, refused = look_at_studies(root)
        if json is not None:
            write_data(json, dumps([status.model_dump(mode="json") for status in found], indent=2) + "\n")
        else:
            show_studies(found, console)
        for name, error in refused.items():
            errors.print(f"[red]error[/red]: {escape(name)}: {escape(str(error))}", soft_wrap=True)
        if refused:
            raise typer.Exit(ExitStatus.INCOMPLETE)


@commands.command(
    {
        "veil attack blur:kernel=31": "the whole ladder on a filter",
        "veil attack models:/face-anonymizer@balanced --json card.json": "on a registered model",
        "veil attack --clear photos/ --anonymized blurred/ --out attack/ --open": "on the work of another tool",
    },
)
def attack(
    model: Annotated[
        str | None,
        typer.Argument(help="NAME:setting=value, a trial's folder, or models:/NAME@ALIAS.", show_default=False),
    ] = None,
    clear: Annotated[Path | None, typer.Option(help="Folder of clear photographs, one folder per person.")] = None,
    anonymized: Annotated[Path | None, typer.Option(help="The same photographs, anonymized by any tool.")] = None,
    attackers: Annotated[
        str | None, typer.Option(help="Attackers, separated by commas; without it, the full ladder.")
    ] = None,
    recognizer: Annotated[
        list[str] | None, typer.Option(help="Recognizer that attacks; repeat it for several, the worst counts.")
    ] = None,
    config: ConfigOption = None,
    preset: PresetOption = "smoke",
    set_: SetOption = None,
    json: Annotated[Path | None, typer.Option("--json", help="File for the score card.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the page, its figures and the score card.")] = None,
    pictures: Annotated[bool, typer.Option("--pictures", help="Show faces in the page.")] = False,
    open_page: OpenOption = False,
) -> None:
    """Attack an anonymizer, or photographs that another tool has anonymized, without a sweep.

    Exit status 0: a valid score. 3: the score is invalid, and the reason is printed. 2: an error.
    """
    from veil.attacking.run import PAGE, Plan
    from veil.attacking.run import attack as run_attack
    from veil.attacking.sources import SettingsChoice, open_folders, open_model

    if open_page and out is None:
        raise ConfigError("--open needs a folder for the page: add --out FOLDER")
    names = tuple(name.strip() for name in attackers.split(",") if name.strip()) if attackers else ()
    plan = Plan(names, tuple(recognizer or ()), json, out, pictures)
    settings = SettingsChoice(config, preset, tuple(set_ or ()))
    if model is not None and clear is None and anonymized is None:
        evaluation = run_attack(lambda progress: open_model(model, settings, progress), plan, console)
    elif model is None and clear is not None and anonymized is not None:
        evaluation = run_attack(lambda progress: open_folders(clear, anonymized, settings, progress), plan, console)
    else:
        raise ConfigError("give either MODEL, or both --clear FOLDER and --anonymized FOLDER")
    if open_page and out is not None:
        typer.launch((out / PAGE).resolve().as_uri())
    if not evaluation.score.valid:
        raise typer.Exit(ExitStatus.INCOMPLETE)
