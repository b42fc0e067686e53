"""What a person sees of a preparation: a bar while it runs, and a summary of the table."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from veil.datasets.splits import SPLITS
from veil.faces.prepare import Progress as Counted
from veil.faces.rows import LOW_RESOLUTION_SCALE
from veil.faces.storage import SKIPPED_FILES
from veil.preparing.preparation import Prepared


class _Rate(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:.1f} images/s")


@contextmanager
def preparation_bar(console: Console) -> Iterator[Counted]:
    """Show a bar with rate and remaining time; what is yielded is `progress` of `prepare`, for one dataset or several.

    A preparation that is interrupted says how to go on.
    """
    columns = (TextColumn("preparing faces"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True, speed_estimate_period=120) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    except KeyboardInterrupt:
        console.print("stopped; finished parts are kept, and the same command goes on from there")
        raise


def print_prepared(prepared: Prepared, console: Console) -> None:
    """Print what a table holds, which files it lacks and why, and what it took."""
    summary = prepared.summary
    low = f"low resolution (×{LOW_RESOLUTION_SCALE:g})"
    table = Table("split", "people", "images", "faces", "undetected", low, title=summary.source, title_justify="left")
    for name in SPLITS:
        if split := summary.splits.get(name):
            people = str(split.people or "–")
            table.add_row(name, people, *map(str, (split.images, split.faces, split.undetected, split.low_resolution)))
    console.print(table)
    for note in summary.notes:
        console.print(note, markup=False, highlight=False)
    for group in summary.skipped:
        names = [path.removeprefix(f"{summary.source}/").removeprefix(f"{summary.source}!") for path in group.examples]
        more = f" and {group.count - len(group.examples)} more" if group.count > len(group.examples) else ""
        console.print(Text(f"skipped {group.files}: {group.reason}: {', '.join(names)}{more}", style="yellow"))
    if any(group.count > len(group.examples) for group in summary.skipped):
        console.print(f"all of them: {prepared.path / SKIPPED_FILES}", style="dim", highlight=False)
    if prepared.images:
        rate = prepared.images / prepared.seconds
        console.print(
            f"{prepared.images} images in {prepared.seconds:.0f} s ({rate:.1f} images/s), {prepared.faces} faces; peak "
            f"memory {prepared.peak_bytes / 1e6:.0f} MB, of a worker {prepared.worker_bytes / 1e6:.0f} MB",
            highlight=False,
        )
    console.print(
        f"{prepared.path}\ndata {summary.data_hash}, crop contract {summary.contract_hash}",
        style="dim",
        highlight=False,
    )
