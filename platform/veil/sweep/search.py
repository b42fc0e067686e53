"""Tune's searcher over a stored Optuna study that survives its driver."""

from typing import Any

import optuna
from ray.tune.search.optuna import OptunaSearch

from veil.config import SearchConfig
from veil.interfaces import SearchSpace
from veil.objectives import get_objective
from veil.records import TrialRecord
from veil.study import StudyFolder
from veil.sweep.keys import NUMBER, SAMPLED
from veil.sweep.space import load_trainable, resolve_settings, sample_settings
from veil.sweep.storage import interrupted_trials, tell


class StudySearch(OptunaSearch):
    """OptunaSearch whose truth is the study's journal and the trial records, not Tune's pickles.

    It first hands out the trials an earlier driver left unfinished, under their own numbers, then asks the sampler.
    A trial is told COMPLETE only with valid objectives; OptunaSearch would tell the last partial values.
    """

    def __init__(self, study: optuna.Study, folder: StudyFolder, search: SearchConfig, space: SearchSpace) -> None:
        directions = [get_objective(name).direction for name in search.objectives]
        super().__init__(
            space=None,
            metric=list(search.objectives),
            mode=["min" if direction == "minimize" else "max" for direction in directions],
        )
        self._study = study
        self._folder = folder
        self._search = search
        self._trial_space = space
        self._interrupted = interrupted_trials(study, folder, search.constraints)
        self._asked: dict[str, optuna.Trial] = {}

    def set_search_properties(self, metric: Any, mode: Any, config: dict, **spec: Any) -> bool:
        """Accept Tune's settings; the space is already known."""
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Configuration of the next trial: its number, trainable and validated settings."""
        trial = self._asked.get(trial_id) or (self._interrupted.pop(0) if self._interrupted else self._study.ask())
        self._asked[trial_id] = trial
        trainable, sampled = sample_settings(self._trial_space, trial)
        settings = resolve_settings(self._search, trainable, sampled)
        return {
            NUMBER: trial.number,
            SAMPLED: trial.params,
            "trainable": trainable,
            "params": settings.model_dump(mode="json"),
        }

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: several objectives have no intermediate values."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the study how the trial ended, from its record.

        One that left none is RUNNING until `lose` says otherwise: `veil resume` continues what a driver has stopped.
        """
        trial = self._asked.get(trial_id)
        record = self._folder.record(trial.number) if trial is not None else None
        if trial is not None and record is not None:
            del self._asked[trial_id]
            tell(self._study, trial, record, self._search.constraints)

    def lose(self, trial_id: str, cause: str) -> None:
        """Record a trial as failed whose process died more often than allowed.

        Args:
            trial_id: Tune's name of the trial.
            cause: of the last death.
        """
        trial = self._asked.pop(trial_id, None)
        if trial is None:
            return  # It has a record: its process died after that.
        name, sampled = sample_settings(self._trial_space, trial)
        settings = resolve_settings(self._search, name, sampled)
        trainable = load_trainable(name)
        deaths = self._search.max_failures + 1
        record = TrialRecord(
            number=trial.number,
            state="failed",
            trainable=name,
            family=trainable.family,
            label=trainable.label(settings),
            params=settings.model_dump(mode="json"),
            sampled=trial.params,
            seed=self._search.seed,
            reason=f"its process died {deaths} time{'s' if deaths > 1 else ''} (search.max_failures): {cause}",
        )
        self._folder.write_record(record)
        tell(self._study, trial, record, self._search.constraints)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher to restore an experiment, and Veil continues from the journal."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the journal and the trial records hold everything."""

    def restore(self, checkpoint_path: str) -> None:
        """Refuse: a study is continued from its journal."""
        raise RuntimeError("a study is continued by `veil resume`, not by restoring a Tune experiment")
