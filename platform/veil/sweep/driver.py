"""The driver: prepares, starts or continues a study, and leaves records, runs and a frontier page."""

import os
import time
from dataclasses import dataclass
from functools import partial

import ray
from ray import tune
from rich.console import Console
from rich.text import Text

from veil.assets import cache_folder
from veil.atomic import storage_faults_named
from veil.cluster.joining import QUIET, check_nodes_see, join_cluster
from veil.config import StudyConfig, hash_values
from veil.errors import AssetError, ConfigError
from veil.faces.study_faces import PreparedFaces, StudyFaces
from veil.interfaces import SearchSpace
from veil.preparing import Workforce, preparation_bar, prepare
from veil.preparing.study import prepare_study
from veil.protocol.judging import study_suite_hash
from veil.records import Manifest, TrialRecord
from veil.reporting import study_hypervolume, write_study_page
from veil.study import StudyFolder
from veil.sweep.deaths import take_lack_of_memory_for_death
from veil.sweep.heartbeat import Heartbeat
from veil.sweep.mirror import Mirror
from veil.sweep.progress import SweepProgress
from veil.sweep.search import StudySearch
from veil.sweep.space import check_space, load_trainable, study_trainables
from veil.sweep.storage import finished_count, open_study
from veil.sweep.trial import StudyPaths, run_trial
from veil.sweep.warm_start import check_warm_start
from veil.tracking import Tracker

OBJECT_STORE_BYTES = 200 * 1024**2


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
    with folder.driver_lock(), Heartbeat(config, folder) as heartbeat:
        tracker = Tracker(config, manifest)
        study = open_study(folder, config.search, space)
        search = StudySearch(study, folder, config.search, space)
        tracker.log_missing(folder)
        missing = config.search.trials - finished_count(study)
        if missing > 0:
            with SweepProgress(console, config.search.trials, finished_count(study)) as progress:
                _run_trials(config, paths, search, missing, progress, heartbeat, address)
        swept = time.perf_counter()
        result = SweepResult(
            records=folder.records(),
            remaining=max(config.search.trials - finished_count(study), 0),
            seconds={"prepare": prepared - started, "sweep": swept - prepared},
        )
        _close(config, folder, tracker, result)
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
    config: StudyConfig,
    paths: StudyPaths,
    search: StudySearch,
    count: int,
    progress: SweepProgress,
    heartbeat: Heartbeat,
    address: str | None,
) -> None:
    try:
        _start_ray(config, address)
        mirror = Mirror(config, StudyFolder(paths.folder), progress, search)
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
                callbacks=[mirror, heartbeat],
                failure_config=tune.FailureConfig(max_failures=config.search.max_failures),
                verbose=0,
            ),
        )
        with storage_faults_named(paths.folder):
            tuner.fit()
        mirror.complete()
    finally:
        ray.shutdown()


def _start_ray(config: StudyConfig, address: str | None) -> None:
    take_lack_of_memory_for_death()
    # Veil shows its own progress, keeps its own records, and is continued from them: Tune need not.
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "600")
    # A trial that is not valid reports no objective, on purpose.
    os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
    if address is not None:
        join_cluster(address)
        check_nodes_see(StudyFolder(config.folder.resolve()).manifest_path)
        return
    needed = config.search.cpus_per_trial * config.search.workers_per_trial
    available = os.cpu_count() or 1
    if needed > available:
        raise ConfigError(
            f"a trial needs {needed} CPU cores (search.cpus_per_trial × search.workers_per_trial), "
            f"this machine has {available}; lower one of them"
        )
    # With training workers of their own, trials only wait: one core more than there are lets all workers start.
    spare = 1 if config.search.workers_per_trial > 1 else 0
    ray.init(
        "local", num_cpus=available + spare, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **QUIET
    )


def _trial_resources(config: StudyConfig) -> dict[str, float]:
    if config.search.workers_per_trial > 1:
        return {"CPU": 0.01}  # The workers hold the resources; Tune refuses exactly 0.
    return {"CPU": config.search.cpus_per_trial, "GPU": config.search.gpus_per_trial}


def _close(config: StudyConfig, folder: StudyFolder, tracker: Tracker, result: SweepResult) -> None:
    page = write_study_page(config, folder)
    metrics = {"trials/finished": len(result.records)} | {f"seconds/{part}": s for part, s in result.seconds.items()}
    metrics["frontier/hypervolume"] = study_hypervolume(config, folder)
    tracker.close_sweep(page, metrics, finished=result.remaining == 0)
