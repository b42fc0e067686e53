"""The study in Optuna: the single source of truth about which trials exist and how they ended."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from veil.config import SearchConfig
from veil.errors import ConfigError
from veil.interfaces import Anchor, SearchSpace
from veil.objectives import get_objective
from veil.records import TrialRecord
from veil.study import StudyFolder
from veil.sweep.constraints import violations
from veil.sweep.space import SETTINGS_ATTRIBUTE, TRAINABLE_ATTRIBUTE
from veil.sweep.warm_start import WARM_START_ATTRIBUTE, add_warm_start
from veil.trial_log import UNREADABLE, open_journal

# Known and wanted: multivariate and grouped TPE, and names for the objectives.
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

FINISHED_STATES = (TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED)


def open_study(folder: StudyFolder, search: SearchConfig, space: SearchSpace) -> optuna.Study:
    """Open or create the study, with its warm start, enqueueing the anchors of its settings and of its space once.

    Raises:
        ConfigError: the journal cannot be opened, or an older Veil kept the trials in a database.
        DataError: that of the study of the warm start cannot be read.
    """
    database = folder.path / "optuna.db"
    if database.exists() and not folder.optuna_path.exists():
        raise ConfigError(
            f"an older Veil kept the trials of the study {folder.name!r} in {database}, which cannot be continued; "
            "choose another name (--set study=NAME)"
        )
    try:
        study = optuna.create_study(
            storage=open_journal(folder.optuna_path),
            study_name=folder.name,
            directions=[get_objective(name).direction for name in search.objectives],
            load_if_exists=True,
        )
        study.sampler = make_sampler(search, known=len(study.get_trials(deepcopy=False)))
    except UNREADABLE as error:
        raise ConfigError(
            f"cannot open the study's journal {folder.optuna_path}: {error!r}; choose another `root` or study name"
        ) from error
    study.set_metric_names(list(search.objectives))
    add_warm_start(study, folder, search)
    for given in _missing_given(study, search):
        study.enqueue_trial({}, user_attrs=given)
    for anchor in _missing_anchors(study, search, space):
        study.enqueue_trial(anchor.params, user_attrs={TRAINABLE_ATTRIBUTE: anchor.trainable})
    return study


def make_sampler(search: SearchConfig, known: int = 0) -> BaseSampler:
    """The sampler a study asks; seeded, so that a sequential study repeats.

    A study that is continued, or starts warm, does not draw again what was drawn by the same seed.

    Args:
        search: settings of the study.
        known: trials that were there before this sampler.
    """
    seed = search.seed
    if search.warm_start is not None:
        seed += crc32(search.warm_start.encode()) % 2**31
    if known:
        seed = int(np.random.SeedSequence((seed, known)).generate_state(1)[0])
    match search.sampler:
        case "tpe":
            return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
        case "nsga2":
            return NSGAIISampler(seed=seed)
        case "random":
            return RandomSampler(seed=seed)


def _missing_given(study: optuna.Study, search: SearchConfig) -> list[dict[str, Any]]:
    """Anchors of the settings that are no trials yet: a study that exists takes those that are added to it."""
    there = [trial.user_attrs for trial in study.get_trials(deepcopy=False)]
    given = [{TRAINABLE_ATTRIBUTE: anchor.trainable, SETTINGS_ATTRIBUTE: anchor.settings} for anchor in search.anchors]
    return [anchor for anchor in given if not any(anchor.items() <= attributes.items() for attributes in there)]


def _missing_anchors(study: optuna.Study, search: SearchConfig, space: SearchSpace) -> Sequence[Anchor]:
    # They come before all that is sampled, so the count of other trials tells how many were enqueued before a kill.
    trials = [trial for trial in study.get_trials(deepcopy=False) if WARM_START_ATTRIBUTE not in trial.user_attrs]
    given = sum(SETTINGS_ATTRIBUTE in trial.user_attrs for trial in trials)
    return space.anchors()[len(trials) - given : max(search.trials - given, 0)]


def finished_count(study: optuna.Study) -> int:
    """Number of trials that ended, whatever their outcome; those of a warm start are not the study's own."""
    trials = study.get_trials(deepcopy=False, states=FINISHED_STATES)
    return sum(WARM_START_ATTRIBUTE not in trial.user_attrs for trial in trials)


def interrupted_trials(
    study: optuna.Study, folder: StudyFolder, constraints: Mapping[str, float]
) -> list[optuna.Trial]:
    """Trials that an earlier driver started and never saw end, to be continued under their own numbers.

    A trial whose record is on disk ended in fact: the study is told, and it is not among them.
    """
    interrupted = []
    for frozen in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        record = folder.record(frozen.number)
        trial = optuna.Trial(study, frozen._trial_id)
        if record is None:
            interrupted.append(trial)
        else:
            tell(study, trial, record, constraints)
    return interrupted


def tell(study: optuna.Study, trial: optuna.Trial, record: TrialRecord, constraints: Mapping[str, float]) -> None:
    """Give the sampler the outcome of a trial: values only if they are valid, otherwise a failure with its reason.

    A trial that was stopped early is told as pruned: its configuration is known to be no good, its objectives are not
    known. Constraints are judged by what it was worth at its last rung.

    Args:
        study: the study.
        trial: one of it that runs.
        record: how it ended.
        constraints: worst value of objectives that is of use.
    """
    trial.set_user_attr("state", record.state)
    trial.set_user_attr("label", record.label)
    if record.reason is not None:
        trial.set_user_attr("reason", record.reason)
    known = record.early_scores[-1].objectives if record.state == "stopped" else record.objectives
    for name, violation in violations(known, constraints).items():
        trial.set_constraint(name, violation)
    if record.state == "valid":
        names = study.metric_names or list(record.objectives)
        study.tell(trial, [record.objectives[name].value for name in names])
    else:
        study.tell(trial, state=TrialState.PRUNED if record.state == "stopped" else TrialState.FAIL)
