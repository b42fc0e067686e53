"""Commands that show what a study found."""

from pathlib import Path
from typing import Annotated

import typer

from veil.cli.commands import CommandGroup
from veil.cli.completion import complete_study
from veil.cli.options import DEFAULT_ROOT, OpenOption, RootOption, StudyArgument
from veil.cli.terminal import STANDARD_OUTPUT, console, write_data
from veil.errors import ConfigError
from veil.study import StudyFolder

commands = CommandGroup("Understand")


@commands.command(
    {
        "veil frontier smoke": "the table and the page, also while the sweep runs",
        "veil frontier frontier --family gan --family k-Same": "the frontier of two families",
        "veil frontier smoke --against 3": "every trial minus trial 3, person by person",
        "veil frontier smoke --csv - | column -ts,": "all trials as data, to standard output",
    },
)
def frontier(
    study: StudyArgument,
    root: RootOption = DEFAULT_ROOT,
    family: Annotated[
        list[str] | None, typer.Option(help="Only methods of this family; repeat it for several.")
    ] = None,
    conditioning: Annotated[
        list[str] | None, typer.Option(help="Only generators that see this, or `none`; repeat it for several.")
    ] = None,
    against: Annotated[int | None, typer.Option(help="Compare all trials with this one, person by person.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="File for all numbers; - is standard output.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="File for one line a trial; - is standard output.")] = None,
    open_page: OpenOption = False,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Show faces on the page.")] = True,
) -> None:
    """Print the frontier with intervals and ties, and write its interactive page, which always shows all trials."""
    from veil.frontier.export import frontier_csv, frontier_json
    from veil.overview import study_overview
    from veil.reporting import print_comparison, print_overview, study_kind, write_frontier_page

    outputs = [path for path in (json, csv) if path is not None]
    if outputs.count(STANDARD_OUTPUT) > 1:
        raise ConfigError("--json - and --csv - would mix on standard output: name a file for one of them")
    folder = StudyFolder(root / study)
    config = folder.config()
    if not folder.records():
        raise ConfigError(f"the study {study!r} has no finished trial yet; run `veil resume {study} --root {root}`")
    if (kind := study_kind(folder)) != "anonymizers":
        command = {"attackers": "robustness", "detectors": "sensitivity"}[kind]
        raise ConfigError(f"the study {study!r} compares {kind} and has no frontier; see `veil {command} {study}`")
    overview = study_overview(config, folder, family or (), conditioning or ())
    if json is not None:
        write_data(json, frontier_json(overview))
    if csv is not None:
        write_data(csv, frontier_csv(overview))
    if STANDARD_OUTPUT in outputs:
        return
    print_overview(overview, folder, console)
    if against is not None:
        print_comparison(config, folder, against, console)
    page = write_frontier_page(config, folder, pictures, None if family or conditioning else overview)
    _show_page("frontier", page, open_page)


@commands.command(
    {
        "veil robustness attackers --open": "curves of `veil sweep --preset attackers`",
    },
)
def robustness(
    study: StudyArgument,
    root: RootOption = DEFAULT_ROOT,
    open_page: OpenOption = False,
) -> None:
    """Print how leak grows with the strength of an attacker, and write the page of the curves."""
    from veil.reporting import print_robustness, write_curves_page

    folder = StudyFolder(root / study)
    config = folder.config()
    print_robustness(config, folder, console)
    page = write_curves_page(config, folder)
    _show_page("robustness", page, open_page)


@commands.command(
    {
        "veil sensitivity detectors --open": "the comparison of `veil sweep --preset detectors`",
    },
)
def sensitivity(
    study: StudyArgument,
    root: RootOption = DEFAULT_ROOT,
    open_page: OpenOption = False,
) -> None:
    """Print how scores depend on the detector and its alignment, and write the page of the comparison."""
    from veil.reporting import print_sensitivity, write_detectors_page

    folder = StudyFolder(root / study)
    config = folder.config()
    print_sensitivity(config, folder, console)
    page = write_detectors_page(config, folder)
    _show_page("sensitivity", page, open_page)


@commands.command(
    {
        "veil report frontier --pdf": "our best against each baseline, and the whole report as a page and as PDF",
        "veil report ablations --json answers.json": "what each part is worth",
    },
)
def report(
    study: Annotated[
        str | None, typer.Argument(help="Name of the study.", show_default=False, autocompletion=complete_study)
    ] = None,
    study_option: Annotated[str | None, typer.Option("--study", help="The same, as an option.")] = None,
    root: RootOption = DEFAULT_ROOT,
    family: Annotated[
        str, typer.Option(help="Proposed family of methods, where the study asks no question of its own.")
    ] = "gan",
    json: Annotated[Path | None, typer.Option("--json", help="File for the numbers of the answers.")] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print the page as PDF too, by Chromium or Chrome.")] = False,
    open_page: OpenOption = False,
) -> None:
    """Answer what a study asks, and write its report: method, data, attacks, trade-off, failures, limits."""
    from veil.report.command import report_study

    names = [name for name in (study, study_option) if name is not None]
    if len(names) != 1:
        raise ConfigError("name one study: veil report STUDY, or veil report --study STUDY")
    written = report_study(StudyFolder(root / names[0]), family, console, json, pdf)
    console.print(f"\nreport page   {written.page}", highlight=False)
    if written.pdf is not None:
        console.print(f"report PDF    {written.pdf}", highlight=False)
    if open_page:
        typer.launch((written.pdf or written.page).resolve().as_uri())


@commands.command(
    {
        "veil ui": "the studies in ./studies, on the next free ports",
        "veil ui frontier --open": "optuna-dashboard on this study, and its trials in the browser",
        "veil ui --root /data/studies --port 5050": "those of another folder, on a port of your choice",
    },
)
def ui(
    study: Annotated[
        str | None,
        typer.Argument(
            help="Study for optuna-dashboard; without it, the one that changed last.", autocompletion=complete_study
        ),
    ] = None,
    root: RootOption = DEFAULT_ROOT,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of MLflow; without it, a free one.")] = None,
    dashboard_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of optuna-dashboard; without it, a free one.")
    ] = None,
    open_page: OpenOption = False,
) -> None:
    """Serve MLflow's pages of all studies in a folder, and optuna-dashboard, on this machine only, until Ctrl-C."""
    from veil.tracking.server import serve

    serve(root, study, port, dashboard_port, console, open_page)


def _show_page(kind: str, page: Path, open_page: bool) -> None:
    console.print(f"{kind} page   {page}", highlight=False)
    if open_page:
        typer.launch(page.resolve().as_uri())
