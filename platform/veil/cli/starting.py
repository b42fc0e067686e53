"""Commands that come before a study: weights, datasets, faces, a teacher."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from veil import __version__
from veil.cli.commands import CommandGroup
from veil.cli.exit_status import ExitStatus
from veil.cli.options import ConfigOption, PresetOption, SetOption, load_config
from veil.cli.terminal import console, errors
from veil.errors import VeilError

DEFAULT_CLUSTER = Path("cluster.yaml")

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]

commands = CommandGroup("Before a study")


@commands.command(
    {
        "veil doctor": "what is here, and what is missing",
        "veil doctor --fetch": "fetch what is missing",
    },
)
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
        raise typer.Exit(ExitStatus.ERROR)


@commands.command(
    {
        "veil datasets": "all of them, with their terms",
    },
    name="datasets",
)
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


@commands.command(
    {
        "veil prepare": "the small faces that ship as a package",
        "veil prepare --set data.dataset=lfw --set data.root=lfw/": "a dataset on this machine",
        "veil prepare --config study.yaml --workers 8 --device cuda": "a large one",
    },
)
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

    data = load_config(config, preset, set_).data
    for faces in (main_faces(data), *data.extra):
        with preparation_bar(console) as progress:
            prepared = prepare_faces(faces, data, cache_folder(), progress, Workforce(workers, address, device))
        print_prepared(prepared, console)


@commands.command(
    {
        "veil export --out faces": "whole photographs",
        "veil export --crops --out crops --config study.yaml": "aligned crops of a study of your own",
    },
)
def export(
    out: Annotated[Path, typer.Option(help="New folder for the images and their manifest.")],
    config: ConfigOption = None,
    preset: PresetOption = "smoke",
    set_: SetOption = None,
    crops: Annotated[bool, typer.Option("--crops", help="Write aligned 112×112 crops, not whole photographs.")] = False,
) -> None:
    """Write the faces that a study judges as PNG files, for another tool to anonymize under the same names."""
    from veil.exporting import export_faces

    export_faces(load_config(config, preset, set_), out, crops, console)


@commands.command(
    {
        "veil train-teacher --root fer2013.zip --out teachers/mine": "on two cores in about 70 minutes",
        "veil train-teacher --dataset ferplus --root ferplus/ --out teachers/votes --set labels=votes": "on votes",
    },
    name="train-teacher",
)
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


@commands.command(
    {
        "veil cluster": "cluster.yaml, with the study that ships as smoke",
        "veil cluster platform/cluster/on-premise.yaml --preset frontier": "machines of your own, and another study",
    },
)
def cluster(
    file: Annotated[Path, typer.Argument(help="File for Ray's cluster launcher.")] = DEFAULT_CLUSTER,
    config: ConfigOption = None,
    preset: PresetOption = "smoke",
    set_: SetOption = None,
) -> None:
    """Check a cluster's file, and print what it would start, where data and databases lie, and every command."""
    from veil.cluster.definition import read_cluster
    from veil.cluster.plan import path_on_head, print_plan

    definition, study = read_cluster(file), load_config(config, preset, set_)
    source = ["--config", str(path_on_head(config, definition))] if config is not None else ["--preset", preset]
    source += [word for setting in set_ or () for word in ("--set", setting)]
    print_plan(definition, study, source, console)
