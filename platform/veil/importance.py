"""How much of an objective each sampled setting explains: Optuna's fANOVA over a study's trials."""

import warnings
from collections.abc import Collection, Mapping, Sequence

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from veil.frontier.importance import Importance
from veil.objectives import Objective
from veil.study import StudyFolder
from veil.trial_log import finished_trials

LEAST_TRIALS = 10
"""With fewer, the forest that fANOVA grows has learnt nothing."""

TREES, DEPTH = 16, 8
"""Optuna's own 64 trees of depth 64 say the same of a hundred trials, and take minutes for a thousand."""


def setting_importance(
    folder: StudyFolder, methods: Mapping[str, Collection[int]], objectives: Sequence[Objective]
) -> list[Importance]:
    """Importance of the settings that all trials of a method sampled, by objective.

    The share of an objective's variance that a setting explains alone and with others (Hutter, Hoos & Leyton-Brown,
    ICML 2014), as `optuna.importance` computes it. Settings of different methods do not compare, so each method has an
    importance of its own.

    Args:
        folder: the study; another process may run it meanwhile.
        methods: numbers of valid trials by method.
        objectives: of the study, in order.

    Returns:
        one entry for each method with `LEAST_TRIALS` trials or more of which two settings vary.

    Raises:
        DataError: its journal cannot be read.
    """
    if not folder.optuna_path.exists() or all(len(numbers) < LEAST_TRIALS for numbers in methods.values()):
        return []
    trials = {trial.number: trial for trial in finished_trials(folder)}
    found = []
    for method, numbers in methods.items():
        chosen = [trials[number] for number in sorted(numbers) if number in trials]
        if len(chosen) < LEAST_TRIALS:
            continue
        study = optuna.create_study(directions=[objective.direction for objective in objectives])
        study.add_trials(chosen)
        shares = {objective.name: _shares(study, index) for index, objective in enumerate(objectives)}
        if any(shares.values()):
            found.append(Importance(method, len(chosen), shares))
    return found


def _shares(study: optuna.Study, index: int) -> dict[str, float]:
    """Settings by falling importance; empty where fewer than two of them vary."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        shares = get_param_importances(
            study,
            evaluator=FanovaImportanceEvaluator(n_trees=TREES, max_depth=DEPTH, seed=0),
            target=lambda trial: trial.values[index],
        )
    varying = {
        name: float(share) for name, share in shares.items() if len({trial.params[name] for trial in study.trials}) > 1
    }
    return varying if len(varying) > 1 else {}
