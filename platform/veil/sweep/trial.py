"""One trial, in a process of its own: train, attack, score, and publish a record."""

import ctypes
import json
import resource
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from ray import tune

from veil.atomic import storage_fault, storage_faults_named
from veil.config import DataConfig, Settings, StudyConfig
from veil.errors import DivergedError, ProtocolError, StoppedEarlyError, VeilError
from veil.expression import load_expression_net
from veil.faces.study_faces import PreparedFaces, StudyFaces
from veil.faces.table import FaceTable
from veil.interfaces import Roles, Trainable, TrialContext, TrialOutcome
from veil.protocol.evaluation import Evaluation, Judge
from veil.protocol.jobs import run_in_turn
from veil.protocol.judging import open_early_judge, open_judge
from veil.protocol.score import Estimate
from veil.protocol.strength import suite_at_strength
from veil.recognizers import load_recognizer
from veil.records import TrialRecord
from veil.runtime import Launcher, LocalLauncher
from veil.study import FAILURES, THUMBNAIL, StudyFolder
from veil.sweep.attacks import RayAttackRunner
from veil.sweep.keys import FINISHED, NUMBER, PROGRESS_IMAGES, SAMPLED
from veil.sweep.space import load_trainable
from veil.sweep.stopping import EarlyStopping
from veil.sweep.train import RayTrainLauncher


@dataclass(frozen=True)
class StudyPaths:
    """What a trial's process needs to find the study: plain values that travel to any node.

    Attributes:
        folder: the study folder, on storage that every node reaches.
        faces: the prepared face tables; None for studies without faces.
        by_detector: the people's table as each detector finds and aligns them, among which trials choose.
        unavailable: why there is no such table, by detector.
    """

    folder: Path
    faces: PreparedFaces | None = None
    by_detector: Mapping[str, Path] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)


def run_trial(values: Mapping[str, Any], paths: StudyPaths) -> None:
    """Run one trial to its record; Tune calls this in a worker process.

    A diverged, refused or broken trial leaves a record that says so. The death of the process leaves none, nor does a
    disk that takes no record: such a trial is run again.

    Raises:
        StorageError: the study folder cannot be written.
    """
    with storage_faults_named(paths.folder):
        _run_trial(values, StudyFolder(paths.folder), paths)
    _give_back_memory()


def _run_trial(values: Mapping[str, Any], folder: StudyFolder, paths: StudyPaths) -> None:
    config = _kept_config(folder.config_path, folder.config_path.stat().st_mtime_ns)
    torch.set_num_threads(config.search.cpus_per_trial)
    number = int(values[NUMBER])
    trainable = load_trainable(values["trainable"])
    settings = trainable.Config.parse(values["params"], where=f"trial {number}")
    with folder.trial_lock(number):
        record = folder.record(number)
        if record is None:
            folder.note_attempt(number)
            record = _attempt(config, folder, paths, trainable, settings, values)
            folder.write_record(record)
    tune.report(
        {
            FINISHED: True,
            "state": record.state,
            **{name: estimate.value for name, estimate in record.objectives.items()},
        }
    )


def _give_back_memory() -> None:
    """Return freed memory to the system: glibc keeps it, and a process that runs many trials would grow with each."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


@lru_cache(maxsize=1)
def _kept_config(path: Path, changed: int) -> StudyConfig:
    return StudyFolder(path.parent).config()


def _attempt(
    config: StudyConfig,
    folder: StudyFolder,
    paths: StudyPaths,
    trainable: Trainable,
    settings: Settings,
    values: Mapping[str, Any],
) -> TrialRecord:
    started = time.perf_counter()
    number, name = int(values[NUMBER]), values["trainable"]
    base: dict[str, Any] = {
        "number": number,
        "trainable": name,
        "family": trainable.family,
        "label": trainable.label(settings),
        "params": settings.model_dump(mode="json"),
        "sampled": dict(values[SAMPLED]),
        "seed": config.search.seed,
    }

    def ended(**result: Any) -> TrialRecord:
        early = folder.early_scores(number)
        judging = {"rungs": sum(score.seconds for score in early)} if early else {}
        seconds = {**result.pop("seconds", {}), **judging, "total": time.perf_counter() - started}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return TrialRecord(**base, **result, early_scores=early, seconds=seconds, peak_memory_bytes=peak)

    try:
        outcome = trainable.run(settings, _context(config, folder, paths, trainable, number))
        if outcome.anonymizer is None:
            base["trainings"] = outcome.trainings
            return ended(state="valid", synthetic=True, objectives=_synthetic(outcome), seconds=outcome.seconds)
        if paths.faces is None:
            raise ProtocolError(f"trainable {name!r} made an anonymizer, but the study has no faces to judge it on")
        base["training_faces"] = outcome.training_faces
        base["trainings"] = outcome.trainings
        base["notes"] = tuple(getattr(outcome.anonymizer, "notes", ()))
        prepared = paths.faces
        if outcome.strength:
            suite = suite_at_strength(config.suite, outcome.strength)
            config = config.model_copy(update={"suite": suite})
            base["strength"] = suite.strength
        if outcome.detector is not None:
            base["detector"] = outcome.detector
            config, prepared = _on_crops_of(outcome.detector, config, paths)
        judge = search_judge(config, prepared, folder.cache)
        evaluation = judge.score(outcome.anonymizer, launcher=_attack_launcher(config, folder, number))
        if evaluation.spreads:
            folder.write_spreads(number, evaluation.spreads)
        target = load_faces(config.data, prepared).people.split("search")
        _save_artifacts(folder.trial(number), target, evaluation, outcome, config)
        return ended(**_judged(config, evaluation, outcome))
    except Exception as error:
        if storage_fault(error) is not None:
            raise
        base["synthetic"] = paths.faces is None
        return ended(**_broken_off(error, folder, number))


def _broken_off(error: Exception, folder: StudyFolder, number: int) -> dict[str, Any]:
    """State and reason of a trial that an error has ended, and the images that its training had seen by then."""
    seen = error.images if isinstance(error, StoppedEarlyError) else folder.images_seen(number)
    trained = {"trainings": {f"trial-{number:05d}": seen}} if seen else {}
    match error:
        case StoppedEarlyError():
            return {"state": "stopped", "reason": str(error), **trained}
        case DivergedError():
            return {"state": "diverged", "reason": str(error), **trained}
        case VeilError():
            return {"state": "invalid", "reason": str(error), **trained}
        case MemoryError() | torch.OutOfMemoryError():
            what = str(error).splitlines()[0] if str(error) else type(error).__name__
            advice = "lower the trainable's batch_size, or search.max_concurrent_trials"
            return {"state": "failed", "reason": f"out of memory: {what}; {advice}", **trained}
        case _:
            (folder.trial(number) / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
            what = f"{type(error).__name__}: {error}"
            return {"state": "failed", "reason": f"{what} (traceback in error.txt)", **trained}


def _on_crops_of(detector: str, config: StudyConfig, paths: StudyPaths) -> tuple[StudyConfig, PreparedFaces]:
    """The study with the people as one detector finds them, and nobody beside them: crops of detectors never mix.

    Raises:
        ProtocolError: the study has no such crops.
    """
    if detector not in paths.by_detector:
        reason = paths.unavailable.get(detector, "the search space does not name it among its `detectors`")
        raise ProtocolError(f"the detector {detector!r} is left out: {reason}")
    data = config.data.model_copy(update={"detector": detector, "extra": ()})
    return config.model_copy(update={"data": data}), PreparedFaces(paths.by_detector[detector])


def _save_artifacts(
    folder: Path, faces: FaceTable, evaluation: Evaluation, outcome: TrialOutcome, config: StudyConfig
) -> None:
    # Slow to import, and of no use to a process that has only just started.
    from veil.protocol.pictures import cmc_figure, face_grid, failure_grid, roc_figure, write_thumbnail

    (folder / "score.json").write_text(evaluation.score.model_dump_json(indent=2), encoding="utf-8")
    if len(evaluation.anonymized_target):
        grid = face_grid(faces, evaluation.anonymized_target, outcome.conditioning)
        grid.save(folder / "grid.png")
        write_thumbnail(folder / THUMBNAIL, grid)
    if evaluation.score.people:
        failures = failure_grid(faces, evaluation.anonymized_target, evaluation.score.people)
        failures.save(folder / FAILURES, quality=80)
    for name, images in evaluation.reconstructions.items():
        sheet = face_grid(faces, evaluation.anonymized_target, outcome.conditioning, images)
        sheet.save(folder / f"reconstructions-{name.replace('/', '-')}.png")
    if evaluation.curves:
        roc_figure(evaluation.curves, config.suite.far).savefig(folder / "roc.png", dpi=110)
        cmc_figure(evaluation.cmc).savefig(folder / "cmc.png", dpi=110)


def _judged(config: StudyConfig, evaluation: Evaluation, outcome: TrialOutcome) -> dict[str, Any]:
    score = evaluation.score
    seconds = {**outcome.seconds, **score.seconds}
    if not score.valid:
        return {"state": "invalid", "reason": score.reason, "score": score, "seconds": seconds}
    objectives = {name: score.objectives[name] for name in config.search.objectives}
    return {"state": "valid", "objectives": objectives, "score": score, "seconds": seconds}


def _synthetic(outcome: TrialOutcome) -> dict[str, Estimate]:
    return {name: Estimate(value=value, low=value, high=value) for name, value in (outcome.synthetic or {}).items()}


def _context(
    config: StudyConfig, folder: StudyFolder, paths: StudyPaths, trainable: Trainable, number: int
) -> TrialContext:
    faces = load_faces(config.data, paths.faces) if trainable.needs_faces and paths.faces is not None else None
    halving: dict[str, Any] = {}
    if config.search.early_stopping is not None and getattr(trainable, "stoppable", False):
        stopping = EarlyStopping(folder, config.search, number, partial(_judge_early, config, folder, paths))
        halving = {"rungs": stopping.rungs_left(), "at_rung": stopping}
    return TrialContext(
        folder=folder.trial(number),
        cache=folder.cache,
        faces=faces.people.split("train") if faces is not None else None,
        load_roles=partial(load_training_roles, config.roles.proxies, config.roles.teacher),
        launcher=_launcher(config, folder, number),
        seed=config.search.seed,
        extra_faces=faces.extra_to_train_on if faces is not None else (),
        **halving,
    )


def _judge_early(
    config: StudyConfig, folder: StudyFolder, paths: StudyPaths, outcome: TrialOutcome
) -> tuple[dict[str, Estimate], str | None]:
    if outcome.anonymizer is None:
        return _synthetic(outcome), None
    assert paths.faces is not None
    score = early_judge(config, paths.faces, folder.cache).score(outcome.anonymizer).score
    return dict(score.objectives), score.reason


def _device(config: StudyConfig) -> str:
    return "cuda" if config.search.gpus_per_trial > 0 else "cpu"


def _launcher(config: StudyConfig, folder: StudyFolder, number: int) -> Launcher:
    if config.search.workers_per_trial > 1:
        return _ray_launcher(config, folder, number, inside_tune=True)
    return LocalLauncher(report=_progress_reporter(folder.progress_path(number)), device=_device(config))


def _attack_launcher(config: StudyConfig, folder: StudyFolder, number: int) -> Launcher | None:
    """Attackers train on as many workers as the anonymizer does, and report nothing to Tune."""
    if config.search.workers_per_trial > 1:
        return _ray_launcher(config, folder, number, inside_tune=False)
    return None


def _ray_launcher(config: StudyConfig, folder: StudyFolder, number: int, inside_tune: bool) -> RayTrainLauncher:
    """Launcher of the anonymizer's training, which reports to Tune, or of attackers', which does not."""
    search = config.search
    return RayTrainLauncher(
        workers=search.workers_per_trial,
        storage=folder.path / "ray",
        name=f"{'train' if inside_tune else 'attack'}-{number:05d}",
        cpus_per_worker=search.cpus_per_trial,
        gpus_per_worker=search.gpus_per_trial,
        max_failures=search.max_failures,
        inside_tune=inside_tune,
        report=partial(_note_progress, folder.progress_path(number)) if inside_tune else None,
    )


def _progress_reporter(path: Path) -> Callable[[dict[str, float], int], None]:
    def report(metrics: dict[str, float], images_seen: int) -> None:
        _note_progress(path, metrics, images_seen)
        tune.report({PROGRESS_IMAGES: images_seen, **metrics})

    return report


def _note_progress(path: Path, metrics: dict[str, float], images_seen: int) -> None:
    line = json.dumps({PROGRESS_IMAGES: images_seen, **metrics})
    with path.open("a", encoding="utf-8") as log:
        log.write(line + "\n")


def load_training_roles(proxies: tuple[str, ...], teacher: str, device: str) -> Roles:
    """Load the models that training may use."""
    return Roles(
        proxies=tuple(load_recognizer(name, device) for name in proxies),
        teacher=load_expression_net(teacher, device),
    )


@lru_cache(maxsize=1)
def load_faces(data: DataConfig, prepared: PreparedFaces) -> StudyFaces:
    """The study's faces; kept between the trials of one process."""
    return StudyFaces.load(data, prepared)


def search_judge(config: StudyConfig, prepared: PreparedFaces, cache: Path) -> Judge:
    """The judge of the study's trials; kept between the trials of one process."""
    return _kept_judge(config.model_dump_json(), prepared, cache)


def early_judge(config: StudyConfig, prepared: PreparedFaces, cache: Path) -> Judge:
    """The judge at rungs of early stopping; kept between the trials of one process."""
    return _kept_early_judge(config.model_dump_json(), prepared, cache)


@lru_cache(maxsize=1)
def _kept_early_judge(config_json: str, prepared: PreparedFaces, cache: Path) -> Judge:
    config = StudyConfig.model_validate_json(config_json)
    return open_early_judge(config, load_faces(config.data, prepared).people, cache, _device(config))


@lru_cache(maxsize=1)
def _kept_judge(config_json: str, prepared: PreparedFaces, cache: Path) -> Judge:
    config = StudyConfig.model_validate_json(config_json)
    search = config.search
    # A trial with one core, or with one GPU, has nothing to share among several attackers.
    alone = search.cpus_per_trial == 1 or search.workers_per_trial > 1 or search.gpus_per_trial > 0
    runner = run_in_turn if alone else RayAttackRunner(search.cpus_per_trial)
    faces = load_faces(config.data, prepared)
    return open_judge(config, faces.people, "search", cache, _device(config), runner, faces.extra)
