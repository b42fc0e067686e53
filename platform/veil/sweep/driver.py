"""The driver: prepares, starts or continues a study, and leaves records, runs and a frontier page."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from ray import tune
from ray.tune import Callback as TuneCallback
from rich.console import Console
from rich.text import Text

from veil.assets import cache_folder
from veil.atomic import storage_faults_named
from veil.config import StudyConfig, hash_values
from veil.errors import AssetError
from veil.faces.study_faces import PreparedFaces, StudyFaces
from veil.interfaces import SearchSpace
from veil.preparing import Workforce, preparation_bar, prepare
from veil.preparing.study import prepare_study
from veil.protocol.judging import study_suite_hash
from veil.records import Manifest, TrialRecord
from veil.reporting import study_hypervolume, write_study_page
from veil.study import StudyFolder
from veil.sweep.heartbeat import Heartbeat
from veil.sweep.mirror import Mirror
from veil.sweep.progress import SweepProgress
from veil.sweep.search import StudySearch
from veil.sweep.session import ray_session
from veil.sweep.space import check_space, load_trainable, study_trainables
from veil.sweep.storage import finished_count, interrupted_trials, open_study
from veil.sweep.trial import StudyPaths, run_trial
from veil.sweep.warm_start import check_warm_start
from veil.tracking import Tracker


@dataclass(frozen=True)
class SweepResult:
    """How a sweep ended.

    Attributes:
        records: every finished trial of the study.
        remaining: trials that the study still lacks, because the sweep was interrupted.
        seconds: wall time by part.
    """

    records: list[TrialRecord]
    remaining: int
    seconds: dict[str, float]


def run_study(config: StudyConfig, console: Console, address: str | None = None) -> SweepResult:
    """Start the study, or continue it if its folder exists: no finished trial is lost, none runs twice.

    Args:
        config: the study.
        console: where progress goes.
        address: Ray cluster to join ("auto" on its head); None starts Ray on this machine alone.

    Raises:
        VeilError: a setting, the data or an asset cannot be used; nothing was started.
        TrackingError: the tracking store failed; finished trials are safe and `veil resume` mirrors them.
        StorageError: a disk is full or cannot be written any more; `veil resume` goes on.
    """
    started = time.perf_counter()
    space = check_space(config.search)
    paths = _prepare(config, space, console, address)
    folder = StudyFolder(config.folder)
    manifest = _manifest(config, paths.faces)
    check_warm_start(config, manifest, space)
    folder.create(config, manifest)
    prepared = time.perf_counter()
    with folder.driver_lock(), Heartbeat(config, folder, address) as heartbeat, ExitStack() as stack:
        with ThreadPoolExecutor(1) as beside:
            # Either takes seconds, most of which it waits.
            opening = beside.submit(Tracker, config, manifest)
            # A study that has all its trials needs no Ray.
            if len(folder.finished()) < config.search.trials:
                stack.enter_context(ray_session(config, address))
            tracker = opening.result()
        study = open_study(folder, config.search, space)
        search = StudySearch(study, folder, config.search, space)
        tracker.log_missing(folder)
        missing = config.search.trials - finished_count(study)
        mirror = None
        if missing > 0:
            with SweepProgress(console, config.search.trials, finished_count(study)) as progress:
                mirror = Mirror(config, folder, progress, search)
                _run_trials(config, paths, search, missing, [mirror, heartbeat])
                mirror.start_completing()
        # Trials that end while Tune is stopping leave a record of which nobody has told the study.
        interrupted_trials(study, folder, config.search.constraints)
        swept = time.perf_counter()
        records = folder.records()
        result = SweepResult(
            records=records,
            remaining=max(config.search.trials - len(records), 0),
            seconds={"prepare": prepared - started, "sweep": swept - prepared},
        )
        page = write_study_page(config, folder)
        if mirror is not None:
            mirror.complete()
        tracker.close_sweep(page, _sweep_metrics(config, folder, result), finished=result.remaining == 0)
    return result


def _prepare(config: StudyConfig, space: SearchSpace, console: Console, address: str | None) -> StudyPaths:
    """Prepare the faces that the space's trials need, once for each detector among which they choose."""
    folder = config.folder.resolve()
    if not any(load_trainable(name).needs_faces for name in study_trainables(config.search, space)):
        return StudyPaths(folder)
    by_detector, unavailable = {}, {}
    workforce = Workforce(address=address)
    with preparation_bar(console) as progress:
        faces = prepare_study(config.data, cache_folder().resolve(), progress, workforce)
        for name in getattr(space, "detectors", ()):
            data = config.data.model_copy(update={"detector": name})
            try:
                by_detector[name] = prepare(data, cache_folder().resolve(), progress, workforce)
            except AssetError as error:
                unavailable[name] = str(error)
                console.print(Text(f"left out: detector {name}: {error}", style="yellow"))
    return StudyPaths(folder, faces, by_detector, unavailable)


def _manifest(config: StudyConfig, prepared: PreparedFaces | None) -> Manifest:
    faces = StudyFaces.load(config.data, prepared) if prepared is not None else None
    suite = study_suite_hash(config) if faces is not None else hash_values(config.suite.model_dump(mode="json"))
    return Manifest(
        space=config.search.space,
        base_hash=hash_values(config.search.base),
        suite_hash=suite,
        data_hash=faces.data_hash if faces is not None else None,
        contract_hash=faces.people.contract_hash if faces is not None else None,
        objectives=config.search.objectives,
    )


def _run_trials(
    config: StudyConfig, paths: StudyPaths, search: StudySearch, count: int, callbacks: list[TuneCallback]
) -> None:
    tuner = tune.Tuner(
        tune.with_resources(partial(run_trial, paths=paths), _trial_resources(config)),
        tune_config=tune.TuneConfig(
            search_alg=search,
            num_samples=count,
            max_concurrent_trials=config.search.max_concurrent_trials,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(paths.folder / "ray"),
            callbacks=callbacks,
            failure_config=tune.FailureConfig(max_failures=config.search.max_failures),
            verbose=0,
        ),
    )
    with storage_faults_named(paths.folder):
        tuner.fit()


def _trial_resources(config: StudyConfig) -> dict[str, float]:
    if config.search.workers_per_trial > 1:
        return {"CPU": 0.01}  # The workers hold the resources; Tune refuses exactly 0.
    return {"CPU": config.search.cpus_per_trial, "GPU": config.search.gpus_per_trial}


def _sweep_metrics(config: StudyConfig, folder: StudyFolder, result: SweepResult) -> dict[str, float]:
    seconds = {f"seconds/{part}": seconds for part, seconds in result.seconds.items()}
    volume = study_hypervolume(config, folder)
    return {"trials/finished": len(result.records), "frontier/hypervolume": volume, **seconds}
