"""Which files are anonymized into which, and that no input can be overwritten."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from veil.anonymizing import pictures, videos
from veil.anonymizing.pictures import PictureFormat
from veil.datasets.files import list_files
from veil.errors import ConfigError

UNREAD_SUFFIXES = frozenset(
    (".arw", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jp2", ".jxl", ".nef", ".orf", ".psd", ".raf", ".rw2")
)
"""Of photographs that Veil does not read; they are refused, while a file that is no photograph at all is only named."""


class Job(NamedTuple):
    """One file to anonymize.

    Attributes:
        source: the file.
        name: its path below the input folder.
        output: the file to write.
        kind: "unread" is a photograph in a format that Veil does not read.
    """

    source: Path
    name: str
    output: Path
    kind: Literal["picture", "video", "unread"]


class Jobs(NamedTuple):
    """All that is asked for.

    Attributes:
        folder: that the outputs and the manifest lie in.
        jobs: one for each file, in order of their names.
        left_out: files and folders that are neither photographs nor videos, or cannot be listed, for people.
    """

    folder: Path
    jobs: list[Job]
    left_out: list[str]


def list_jobs(source: Path, out: Path, wanted: PictureFormat) -> Jobs:
    """Pair inputs with outputs.

    Args:
        source: a photograph, a video, or a folder, which is mirrored with all folders below it.
        out: a folder; of a single file, also the file to write.
        wanted: format of photographs, unless `out` names a file.

    Raises:
        ConfigError: there is no such input, nothing in it can be anonymized, or an output could take the place of an
            input or of another output.
    """
    if source.is_dir():
        _refuse_nested(source, out)
        listed = list_files(source)
        found = [(source / name, name) for name in listed.names]
        left_out = [f"{skipped.path}: {skipped.reason}" for skipped in listed.skipped]
    elif source.is_file():
        found, left_out = [(source, source.name)], []
    else:
        raise ConfigError(f"{source} does not exist; expected a photograph, a video, or a folder of them")
    names_file = source.is_file() and out.suffix != "" and not out.is_dir()
    jobs = []
    for path, name in found:
        kind = _kind(path)
        if kind is None:
            left_out.append(name)
        else:
            output = out if names_file else out / Path(name).parent / _output_name(path, kind, wanted)
            jobs.append(Job(path, name, output, kind))
    if not jobs:
        raise ConfigError(f"{source} holds no photograph and no video ({len(left_out)} other files)")
    if names_file:
        _check_named(jobs[0])
    _refuse_overwriting(jobs)
    return Jobs(out.parent if names_file else out, jobs, left_out)


def _kind(path: Path) -> Literal["picture", "video", "unread"] | None:
    suffix = path.suffix.lower()
    if suffix in UNREAD_SUFFIXES:
        return "unread"
    if suffix in pictures.SUFFIXES:
        return "picture"
    return "video" if suffix in videos.SUFFIXES else None


def _output_name(path: Path, kind: str, wanted: PictureFormat) -> str:
    if kind == "video":
        return videos.output_name(path)
    return pictures.output_name(path, wanted) if kind == "picture" else path.name


def _check_named(job: Job) -> None:
    if job.kind == "picture":
        pictures.written_format(job.output)
    elif job.kind == "video" and job.output.suffix.lower() not in videos.WRITTEN_SUFFIXES:
        raise ConfigError(
            f"{job.output}: videos are not written as {job.output.suffix!r}; expected one of "
            f"{', '.join(sorted(videos.WRITTEN_SUFFIXES))}"
        )


def _refuse_nested(source: Path, out: Path) -> None:
    inside, outside = source.resolve(), out.resolve()
    if inside == outside:
        raise ConfigError(f"input and output are the same folder, {inside}; choose another output folder")
    if outside.is_relative_to(inside) or inside.is_relative_to(outside):
        raise ConfigError(
            f"one of the folders {inside} (input) and {outside} (output) lies in the other; choose an output folder "
            "beside the input"
        )


def _refuse_overwriting(jobs: Sequence[Job]) -> None:
    taken = {job.source.resolve() for job in jobs}
    by_output: dict[Path, Job] = {}
    for job in jobs:
        place = job.output.resolve()
        if place in taken:
            raise ConfigError(f"{job.output} would overwrite an input; choose another output")
        if place in by_output:
            raise ConfigError(
                f"{by_output[place].name} and {job.name} would both become {job.output}; rename one of them"
            )
        by_output[place] = job
