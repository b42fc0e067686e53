"""The command line: one command a step, from faces to a registered operating point."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from veil import __version__
from veil.config import StudyConfig, load_study_config
from veil.errors import ConfigError, VeilError
from veil.registry import find_preset
from veil.study import StudyFolder

PIPE_WIDTH = 140
EXIT_ERROR = 2
EXIT_TRIALS_FAILED = 3
EXIT_INVALID = 3
EXIT_INTERRUPTED = 130

app = typer.Typer(
    help="How much privacy a face anonymizer really buys, and what it costs in facial expression.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
# Into a file or a pipe, tables get the width they need instead of rich's 80 columns.
console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
errors = Console(stderr=True)

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="Study file (YAML).")]
PresetOption = Annotated[str, typer.Option("--preset", help="Study that ships with Veil, used without --config.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="One setting, for example search.trials=40.")]
StudyArgument = Annotated[str, typer.Argument(help="Name of the study.")]
RootOption = Annotated[Path, typer.Option("--root", help="Folder that holds the studies.")]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]
DEFAULT_ROOT = Path("studies")


def _load(config: Path | None, preset: str, overrides: list[str] | None) -> StudyConfig:
    return load_study_config(config or find_preset(preset), overrides or [])


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"Veil {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Print the version and exit.", callback=_print_version)
    ] = False,
) -> None:
    """How much privacy a face anonymizer really buys, and what it costs in facial expression."""


@app.command()
def doctor(
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch what is missing, but for what is optional.")] = False,
) -> None:
    """Show each asset: where it comes from, whether it is there, and its licence."""
    from veil.assets import fetch as fetch_asset
    from veil.assets import statuses

    failed: list[str] = []
    if fetch:
        for status in statuses():
            if not status.present and not status.optional:
                console.print(f"fetching {status.name} …")
                try:
                    fetch_asset(status.name)
                except VeilError as error:
                    failed.append(str(error))
    table = Table(title=f"Veil {__version__}", title_justify="left", show_lines=True)
    for heading in ("asset", "", "size", "where", "licence"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "size" else "left")
    for status in statuses():
        missing = "[dim]optional[/dim]" if status.optional else "[yellow]missing[/yellow]"
        mark = "[green]here[/green]" if status.present else missing
        where = status.problem or status.location
        table.add_row(status.name, mark, f"{status.size_bytes / 1e6:.1f} MB", where, status.licence)
    console.print(table)
    for message in failed:
        errors.print(f"[red]error[/red]: {message}")
    if failed:
        raise typer.Exit(EXIT_ERROR)


@app.command("datasets")
def list_datasets() -> None:
    """List the datasets that can be read: what must lie where, where to get them, and under which terms."""
    from veil.registry import datasets

    for name in datasets.names():
        console.print(name, style="bold")
        # A plug-in may be a plain function, of which no more is known than its name.
        about = getattr(datasets.get(name), "about", None)
        rows = about.rows() if about is not None else {}
        table = Table.grid(padding=(0, 2))
        table.add_column()
        table.add_column(overflow="fold")
        for label, text in rows.items():
            table.add_row(f"  {label}", Text(text))
        console.print(table)


@app.command()
def prepare(
    config: ConfigOption = None,
    preset: PresetOption = "smoke",
    set_: SetOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; without it, all cores for a large dataset.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where nets run: cpu or cuda.")] = "cpu",
    address: Annotated[str | None, typer.Option(help="Ray cluster to join; `auto` on its head node.")] = None,
) -> None:
    """Find, align and measure the faces of a study; a second run finds them ready, a stopped one is continued."""
    from veil.assets import cache_folder
    from veil.preparing import Workforce, main_faces, preparation_bar, prepare_faces, print_prepared

    data = _load(config, preset, set_).data
    for faces in (main_faces(data), *data.extra):
        with preparation_bar(console) as progress:
            prepared = prepare_faces(faces, data, cache_folder(), progress, Workforce(workers, address, device))
        print_prepared(prepared, console)


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="New folder for the images and their manifest.")],
    config: ConfigOption = None,
    preset: PresetOption = "smoke",
    set_: SetOption = None,
    crops: Annotated[bool, typer.Option("--crops", help="Write aligned 112×112 crops, not whole photographs.")] = False,
) -> None:
    """Write the faces that a study judges as PNG files, for another tool to anonymize under the same names."""
    from veil.exporting import export_faces

    export_faces(_load(config, preset, set_), out, crops, console)


@app.command()
def sweep(
    config: ConfigOption = None,
    preset: PresetOption = "smoke",
    set_: SetOption = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster to join; `auto` on its head node.")] = None,
) -> None:
    """Run a study: train, attack and score every trial. A study that exists already is continued."""
    _run(_load(config, preset, set_), address)


@app.command()
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
    console.print(f"MLflow          veil ui --root {config.root}", highlight=False)
    if result.remaining:
        console.print(f"{result.remaining} trials are left: veil resume {config.study} --root {config.root}")
        raise typer.Exit(EXIT_INTERRUPTED)
    failed = [record for record in result.records if record.state == "failed"]
    if failed:
        errors.print(f"[red]error[/red]: {len(failed)} trials failed: {failed[0].reason}")
        raise typer.Exit(EXIT_TRIALS_FAILED)


@app.command()
def frontier(
    study: StudyArgument,
    root: RootOption = DEFAULT_ROOT,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    against: Annotated[int | None, typer.Option(help="Compare all trials with this one, person by person.")] = None,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Show faces on the page.")] = True,
) -> None:
    """Print the frontier with intervals and write its interactive page."""
    from veil.reporting import print_comparison, print_frontier, study_kind, write_frontier_page

    folder = StudyFolder(root / study)
    config = folder.config()
    if not folder.records():
        raise ConfigError(f"the study {study!r} has no finished trial yet; run `veil resume {study} --root {root}`")
    if (kind := study_kind(folder)) != "anonymizers":
        command = {"attackers": "robustness", "detectors": "sensitivity"}[kind]
        raise ConfigError(f"the study {study!r} compares {kind} and has no frontier; see `veil {command} {study}`")
    print_frontier(config, folder, console)
    if against is not None:
        print_comparison(config, folder, against, console)
    console.print(f"frontier page   {write_frontier_page(config, folder, pictures)}", highlight=False)
    if open_page:
        typer.launch(folder.page_path.resolve().as_uri())


@app.command()
def robustness(
    study: StudyArgument,
    root: RootOption = DEFAULT_ROOT,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Print how leak grows with the strength of an attacker, and write the page of the curves."""
    from veil.reporting import print_robustness, write_curves_page

    folder = StudyFolder(root / study)
    config = folder.config()
    print_robustness(config, folder, console)
    page = write_curves_page(config, folder)
    console.print(f"robustness page   {page}", highlight=False)
    if open_page:
        typer.launch(page.resolve().as_uri())


@app.command()
def sensitivity(
    study: StudyArgument,
    root: RootOption = DEFAULT_ROOT,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Print how scores depend on the detector and its alignment, and write the page of the comparison."""
    from veil.reporting import print_sensitivity, write_detectors_page

    folder = StudyFolder(root / study)
    config = folder.config()
    print_sensitivity(config, folder, console)
    page = write_detectors_page(config, folder)
    console.print(f"sensitivity page   {page}", highlight=False)
    if open_page:
        typer.launch(page.resolve().as_uri())


@app.command()
def report(
    study: Annotated[str | None, typer.Argument(help="Name of the study.", show_default=False)] = None,
    study_option: Annotated[str | None, typer.Option("--study", help="The same, as an option.")] = None,
    root: RootOption = DEFAULT_ROOT,
    family: Annotated[
        str, typer.Option(help="Proposed family of methods, where the study asks no question of its own.")
    ] = "gan",
    json: Annotated[Path | None, typer.Option("--json", help="File for the numbers.")] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Answer what a study asks: differences with intervals, and a sentence for each question."""
    from veil.answering import report_study

    names = [name for name in (study, study_option) if name is not None]
    if len(names) != 1:
        raise ConfigError("name one study: veil report STUDY, or veil report --study STUDY")
    page = report_study(StudyFolder(root / names[0]), family, console, json)
    console.print(f"\nreport page   {page}", highlight=False)
    if open_page:
        typer.launch(page.resolve().as_uri())


@app.command()
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
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
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
        raise typer.Exit(EXIT_INVALID)


@app.command()
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


@app.command("train-teacher")
def train_teacher(
    root: Annotated[Path, typer.Option(help="Folder, CSV file or archive of the dataset.")],
    out: Annotated[Path, typer.Option(help="Folder for the teacher; a training that was stopped there goes on.")],
    dataset: Annotated[str, typer.Option(help="Dataset of labelled expressions: fer2013 or ferplus.")] = "fer2013",
    set_: Annotated[list[str] | None, typer.Option("--set", help="One setting, for example images=400000.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Training workers; above 1, under Ray Train.")] = 1,
    device: Annotated[Device, typer.Option(help="Where to train.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Of the convolutions in training.")] = "float32",
) -> None:
    """Train an expression teacher of your own on labelled faces, calibrate it, and print its card."""
    from veil.teaching import Plan
    from veil.teaching import train_teacher as train

    train(Plan(dataset, root, out, set_ or [], workers, device, precision), console)


@app.command()
def ui(
    root: RootOption = DEFAULT_ROOT,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on the loopback address.")] = 5000,
) -> None:
    """Open the MLflow pages of all studies in a folder, on this machine only."""
    from veil.tracking.server import serve

    raise typer.Exit(serve(root, port, console))


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
        os._exit(EXIT_ERROR)


if __name__ == "__main__":
    main()
