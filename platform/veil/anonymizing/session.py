"""`veil anonymize` as a person meets it: checks first, a bar while it runs, a summary at the end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from veil.anonymizing.cropping import Cropper
from veil.anonymizing.faces import FaceAnonymizer
from veil.anonymizing.jobs import Job, Jobs, list_jobs
from veil.anonymizing.manifest import Entry, Manifest
from veil.anonymizing.pictures import PictureFormat
from veil.anonymizing.run import Run, make_recipe
from veil.atomic import require_writable
from veil.tracking.models import ModelName
from veil.tracking.registered import load_registered

_SHOWN = 20
"""Files of one kind that are named in the summary; the manifest names all."""


class Request(NamedTuple):
    """What was asked for.

    Attributes:
        source: a photograph, a video, or a folder.
        out: a folder, or the file to write.
        model: NAME@ALIAS in the registry.
        uri: of the registry.
        device: where nets run.
        on_missing: what happens where no face can be anonymized.
        audio: what happens to the sound of videos.
        format: of photographs.
        overwrite: whether files that are there already are made anew.
    """

    source: Path
    out: Path
    model: str
    uri: str
    device: str
    on_missing: Literal["blackout", "fail"]
    audio: Literal["keep", "drop"]
    format: PictureFormat
    overwrite: bool


def anonymize(request: Request, console: Console) -> bool:
    """Anonymize files; see `platform/docs/anonymize.md`.

    Args:
        request: what was asked for.
        console: where progress and the summary go.

    Returns:
        Whether every photograph and video is anonymized now; what was refused is named.

    Raises:
        ConfigError: the request contradicts itself, or what lies in the output folder.
        DataError: the output cannot be written.
        TrackingError: there is no such model.
        ProtocolError: this Veil cannot make the crops that the model expects.
    """
    name = ModelName.parse(request.model)
    jobs = list_jobs(request.source, request.out, request.format)
    require_writable(jobs.folder)
    point = load_registered(request.uri, name)
    faces = FaceAnonymizer(point, Cropper.for_model(point.metadata, request.device))
    recipe = make_recipe(faces, request.on_missing, request.audio, request.format)
    run = Run(faces, recipe, Manifest(jobs.folder), request.overwrite)
    run.check(jobs)
    console.print(f"model     {name}, version {point.version}, files {point.model_hash[:16]}", highlight=False)
    entries: list[Entry] = []
    with _bars(console, len(jobs.jobs)) as bars:
        for job in jobs.jobs:
            entry = run.anonymize(job, bars.start(job))
            entries += [entry] if entry is not None else []
            bars.finish()
    _print_summary(jobs, entries, run.manifest.path, console)
    return all(entry.refused is None for entry in entries)


class _Bars:
    """A bar over files and, while a video is worked on, one over its frames."""

    def __init__(self, progress: Progress, files: int) -> None:
        self._progress = progress
        self._files = progress.add_task("files", total=files, name="")
        self._frames = progress.add_task("frames", visible=False, name="")

    def start(self, job: Job) -> Callable[[int, int], None]:
        """A file is begun; returns what is to be told about its frames."""
        self._progress.update(self._files, name=job.name)
        self._progress.reset(self._frames, total=None, visible=False)
        return lambda done, total: self._progress.update(
            self._frames, completed=done, total=total or None, visible=True
        )

    def finish(self) -> None:
        """The file is done."""
        self._progress.update(self._frames, visible=False)
        self._progress.advance(self._files)


@contextmanager
def _bars(console: Console, files: int) -> Iterator[_Bars]:
    columns = (
        TextColumn("{task.description:>6}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}", style="dim", markup=False),
    )
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            yield _Bars(progress, files)
    except KeyboardInterrupt:
        console.print("stopped; finished files are kept, and the same command goes on from there")
        raise


def _print_summary(jobs: Jobs, entries: Sequence[Entry], manifest: Path, console: Console) -> None:
    written = [entry for entry in entries if entry.refused is None]
    black = [entry for entry in written if entry.black]
    blacked_out = [entry for entry in written if entry.blacked_out]
    refused = [f"{entry.input}: {entry.refused}" for entry in entries if entry.refused is not None]
    skipped = len(jobs.jobs) - len(entries)
    console.print(
        f"files     {len(written)} anonymized, {skipped} done before, {len(refused)} refused\n"
        f"faces     {sum(entry.anonymized for entry in written)} anonymized, "
        f"{sum(entry.blacked_out for entry in written)} blacked out (in videos, counted in every frame)",
        highlight=False,
    )
    _print_files("a face was blacked out in", [entry.input for entry in blacked_out], "yellow", console)
    _print_files("no face was found: black, a video in part", [entry.input for entry in black], "yellow", console)
    _print_files("refused", refused, "red", console)
    _print_files("neither a photograph nor a video, left out", jobs.left_out, "dim", console)
    console.print(f"manifest  {manifest}", highlight=False, soft_wrap=True)
    if written:
        console.print(
            "A face that the detector does not find is not anonymized: look at the results before you pass them on.",
            style="dim",
        )


def _print_files(heading: str, files: Sequence[str], style: str, console: Console) -> None:
    if not files:
        return
    more = [f"… and {len(files) - _SHOWN} more, see the manifest"] if len(files) > _SHOWN else []
    console.print(Text("\n  ".join([f"{heading}:", *files[:_SHOWN], *more]), style=style), soft_wrap=True)
