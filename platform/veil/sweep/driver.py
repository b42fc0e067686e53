"""The driver: prepares, starts or continues a study, and leaves records, runs and a frontier page."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray import tune
from ray.tune import Callback as TuneCallback
from rich.console import Console
from rich.text import Text

from veil.assets import cache_folder
from veil.cluster.joining import QUIET, check_nodes_see, join_cluster
from veil.config import StudyConfig, hash_values
from veil.errors import AssetError, ConfigError, TrackingError
from veil.faces.study_faces import PreparedFaces, StudyFaces
from veil.interfaces import SearchSpace
from veil.preparing import Workforce, preparation_bar, prepare
from veil.preparing.study import prepare_study
from veil.protocol.judging import study_suite_hash
from veil.reporting import study_hypervolume, write_study_page
from veil.study import Manifest, StudyFolder, TrialRecord
from veil.sweep.heartbeat import Heartbeat
from veil.sweep.keys import FINISHED, NUMBER, PROGRESS_IMAGES
from veil.sweep.progress import SweepProgress
from veil.sweep.search import StudySearch
from veil.sweep.space import check_space, load_trainable, study_trainables
from veil.sweep.storage import finished_count, open_study
from veil.sweep.trial import StudyPaths, run_trial
from veil.sweep.warm_start import check_warm_start
from veil.tracking import Tracker

OBJECT_STORE_BYTES = 200 * 1024**2
WORKER_DEATHS_TOLERATED = 2


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
        _mirror_missing(tracker, folder)
        missing = config.search.trials - finished_count(study)
        if missing > 0:
            with SweepProgress(console, config.search.trials, finished_count(study)) as progress:
                mirror = _Mirror(tracker, folder, progress)
                _run_trials(config, paths, search, missing, [mirror, heartbeat], address)
            _mirror_missing(tracker, folder)
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


def _mirror_missing(tracker: Tracker, folder: StudyFolder) -> None:
    known = tracker.mirrored()
    for record in folder.records():
        if known.get(record.number, "RUNNING") == "RUNNING":
            tracker.log_trial(record, folder)
    tracker.save_view(folder.records())


def _run_trials(
    config: StudyConfig,
    paths: StudyPaths,
    search: StudySearch,
    count: int,
    callbacks: list[TuneCallback],
    address: str | None,
) -> None:
    try:
        _start_ray(config, address)
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
                failure_config=tune.FailureConfig(max_failures=WORKER_DEATHS_TOLERATED),
                verbose=0,
            ),
        )
        tuner.fit()
    finally:
        ray.shutdown()


def _start_ray(config: StudyConfig, address: str | None) -> None:
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


class _Mirror(TuneCallback):
    """Mirrors what Tune's trials report to MLflow and to the screen.

    A tracking failure must not end a sweep that is computing. What was not mirrored is on disk: it is mirrored when
    the trials have ended, and the sweep fails only if the store is still away then.
    """

    def __init__(self, tracker: Tracker, folder: StudyFolder, progress: SweepProgress) -> None:
        self._tracker = tracker
        self._folder = folder
        self._progress = progress

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks to restore an experiment, and Veil continues from its own records."""
        return {}

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: Mapping[str, Any], **info: Any) -> None:
        """Losses of a running trial."""
        if result.get(FINISHED) or PROGRESS_IMAGES not in result:
            return
        number = trial.config[NUMBER]
        self._progress.trained(number, int(result[PROGRESS_IMAGES]))
        losses = {
            key: value for key, value in result.items() if key.startswith(("loss/", "progress/", "proxy/", "train/"))
        }
        self._attempt(lambda: self._tracker.log_progress(number, losses))

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """A trial's process has ended in good order."""
        self._mirror(trial)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """A trial's process has died for good."""
        self._mirror(trial)

    def _mirror(self, trial: Any) -> None:
        record = self._folder.record(trial.config[NUMBER])
        if record is not None:
            self._progress.finished(record)
            self._attempt(lambda: self._tracker.log_trial(record, self._folder))

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except TrackingError as error:
            self._progress.warn(f"{error} (the sweep goes on)")
