"""From datasets to tables on disk, once: what is there is found, what a stopped run left is continued."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from veil.atomic import require_writable
from veil.config import DataConfig, ExtraFacesConfig
from veil.errors import DataError
from veil.faces.prepare import Progress
from veil.faces.storage import TableSummary, read_summary
from veil.preparing.parts import PartMaker, PartResult, peak_memory
from veil.preparing.plan import Plan, main_faces, make_plan

SERIAL_PARTS = 2
"""Up to so many parts are made in this process: starting Ray and its workers takes longer."""


class Workforce(NamedTuple):
    """Who prepares.

    Attributes:
        workers: processes; None takes all cores for a large dataset, and this process alone for a small one.
        address: Ray cluster to join ("auto" on its head); None takes the Ray that runs already, or this machine.
        device: where nets run.
    """

    workers: int | None = None
    address: str | None = None
    device: str = "cpu"


THIS_MACHINE = Workforce()


class Prepared(NamedTuple):
    """A table on disk, and what it took.

    Attributes:
        path: folder of the table.
        summary: what it holds.
        images: files that were read; 0 if the table was there.
        faces: faces that were found in them.
        seconds: wall time.
        peak_bytes: largest memory of this process.
        worker_bytes: largest memory of a process that made parts; 0 if none did.
    """

    path: Path
    summary: TableSummary
    images: int
    faces: int
    seconds: float
    peak_bytes: int
    worker_bytes: int


def _nowhere(done: int, total: int) -> None:
    pass


def prepare(
    config: DataConfig, cache: Path, progress: Progress = _nowhere, workforce: Workforce = THIS_MACHINE
) -> Path:
    """Detect, align and measure all faces of the study's dataset, or find them already prepared.

    Args:
        config: dataset, detector, parser and splits.
        cache: folder of prepared tables.
        progress: called with the number of images done and in total; once with (total, total) if all are there.
        workforce: who prepares.

    Returns:
        Folder of the table.

    Raises:
        DataError: the dataset cannot be used (see its reader), has too few people, shows no face at all, or the cache
            cannot be written.
        AssetError: weights or the dataset's archive cannot be fetched.
        ConfigError: unknown dataset, detector or parser.
    """
    return prepare_faces(main_faces(config), config, cache, progress, workforce).path


def prepare_extra(
    config: DataConfig, cache: Path, progress: Progress = _nowhere, workforce: Workforce = THIS_MACHINE
) -> tuple[Path, ...]:
    """Prepare every set of `config.extra`, under the crop contract of the study; see `prepare`."""
    return tuple(prepare_faces(faces, config, cache, progress, workforce).path for faces in config.extra)


def prepare_faces(
    faces: ExtraFacesConfig,
    config: DataConfig,
    cache: Path,
    progress: Progress = _nowhere,
    workforce: Workforce = THIS_MACHINE,
) -> Prepared:
    """Prepare one dataset; see `prepare`.

    Args:
        faces: the dataset, and how many of its images to train on.
        config: detector, parser and splits; not its dataset.
        cache: folder of prepared tables.
        progress: as in `prepare`.
        workforce: who prepares.
    """
    started = time.perf_counter()
    plan = make_plan(faces, config, cache, workforce.device)
    made: list[PartResult] = []
    summary = _finished(plan)
    if summary is None:
        require_writable(plan.folder.path)
        with FileLock(plan.folder.path / ".lock"):
            summary = _finished(plan)
            if summary is None:
                made = list(_make_missing(plan, progress, workforce))
                summary = plan.close()
    if not made:
        progress(len(plan.images), len(plan.images))
    return Prepared(
        path=plan.folder.path,
        summary=summary,
        images=sum(result.images for result in made),
        faces=sum(result.faces for result in made),
        seconds=time.perf_counter() - started,
        peak_bytes=peak_memory(),
        worker_bytes=max((result.peak_bytes for result in made), default=0),
    )


def _finished(plan: Plan) -> TableSummary | None:
    try:
        return read_summary(plan.folder.path)
    except DataError:
        return None


def _make_missing(plan: Plan, progress: Progress, workforce: Workforce) -> Iterator[PartResult]:
    plan.folder.remove_leftovers()
    missing = [part for part in range(plan.parts) if not plan.folder.is_finished(part)]
    total = len(plan.images)
    done = total - sum(len(plan.part(part)) for part in missing)
    if done:
        progress(done, total)
    if workforce.workers == 1 or (workforce.workers is None and len(missing) <= SERIAL_PARTS):
        yield from _make_here(plan, missing, done, progress)
        return
    # Imported here: a small dataset is prepared without Ray.
    from veil.preparing.actors import make_parts

    for result in make_parts(plan, missing, workforce.workers, workforce.address):
        done += result.images
        progress(done, total)
        yield result


def _make_here(plan: Plan, parts: Sequence[int], done: int, progress: Progress) -> Iterator[PartResult]:
    def step() -> None:
        nonlocal done
        done += 1
        progress(done, len(plan.images))

    maker = PartMaker(plan.recipe, plan.contract.hash, plan.folder)
    for part in parts:
        yield maker.make(part, plan.part(part), step)
