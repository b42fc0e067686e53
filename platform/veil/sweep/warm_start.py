"""A sampler that starts from what another study has found."""

import optuna
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.trial import FrozenTrial, TrialState, create_trial

from veil.config import SearchConfig, StudyConfig
from veil.errors import ConfigError, ProtocolError
from veil.interfaces import SearchSpace
from veil.records import Manifest
from veil.study import StudyFolder
from veil.sweep.constraints import violations
from veil.sweep.space import probe_space, sample_settings
from veil.trial_log import finished_trials

WARM_START_ATTRIBUTE = "warm_start"
"""User attribute of a trial that another study ran: "STUDY/NUMBER" there; the study's own trials have none."""

_SAME = ("suite_hash", "data_hash", "contract_hash", "objectives")
"""What two studies must share for their scores to mean the same."""

# NSGA-II breeds from trials of a generation, and asks the trials themselves for theirs.
_GENERATION = {f"{optuna.samplers.NSGAIISampler.__name__}:generation": 0}


def check_warm_start(config: StudyConfig, manifest: Manifest, space: SearchSpace) -> None:
    """Refuse a warm start whose scores or settings mean something else than those of the study.

    Args:
        config: of the study.
        manifest: of the study.
        space: that it explores.

    Raises:
        ConfigError: there is no such study, it has no valid trial, or the space has other choices for a setting.
        ProtocolError: its suite, data, crop contract or objectives differ.
    """
    name = config.search.warm_start
    if name is None:
        return
    if name == config.study:
        raise ConfigError(f"search.warm_start is {name!r}, the study itself; name another one, or `veil resume {name}`")
    other = StudyFolder(config.root / name)
    other.config()
    theirs = other.manifest()
    differing = [
        f"{field}: {getattr(theirs, field)} there, {getattr(manifest, field)} here"
        for field in _SAME
        if getattr(theirs, field) != getattr(manifest, field)
    ]
    if differing:
        raise ProtocolError(
            f"search.warm_start: the study {name!r} was made under other conditions ({'; '.join(differing)}), so that "
            "its scores say nothing here; name another study, or remove the setting"
        )
    finished = _finished(other)
    if not finished:
        raise ConfigError(f"search.warm_start: no trial of study {name!r} has a valid score; name another study")
    _check_choices(finished, space, name)


def _check_choices(finished: list[FrozenTrial], space: SearchSpace, name: str) -> None:
    here: dict[str, BaseDistribution] = {}
    for probe in probe_space(space):
        sample_settings(space, probe)
        here |= probe.distributions
    for trial in finished:
        for setting in trial.distributions.keys() & here.keys():
            try:
                check_distribution_compatibility(trial.distributions[setting], here[setting])
            except ValueError as error:
                raise ConfigError(
                    f"search.warm_start: the study {name!r} sampled {setting!r} in another way than this space "
                    f"({error}); name a study of the same search.space"
                ) from None


def add_warm_start(study: optuna.Study, folder: StudyFolder, search: SearchConfig) -> None:
    """Add the finished trials of the other study that are not there yet, marked as such.

    Args:
        study: the study.
        folder: of the study, beside which the other one lies.
        search: its settings.
    """
    if search.warm_start is None:
        return
    there = {trial.user_attrs.get(WARM_START_ATTRIBUTE) for trial in study.get_trials(deepcopy=False)}
    other = StudyFolder(folder.path.parent / search.warm_start)
    records = {record.number: record for record in other.records()}
    for trial in _finished(other):
        mark = f"{search.warm_start}/{trial.number}"
        if mark in there:
            continue
        record = records[trial.number]
        study.add_trial(
            create_trial(
                params=trial.params,
                distributions=trial.distributions,
                values=[record.objectives[name].value for name in search.objectives],
                constraints=violations(record.objectives, search.constraints),
                user_attrs={WARM_START_ATTRIBUTE: mark, "state": record.state, "label": record.label},
                system_attrs=dict(_GENERATION),  # Optuna writes into it
                state=TrialState.COMPLETE,
            )
        )


def _finished(folder: StudyFolder) -> list[FrozenTrial]:
    """Trials of a study's own whose scores are valid and whose settings were sampled."""
    valid = {record.number for record in folder.records() if record.state == "valid"}
    if not valid:
        return []
    return [trial for trial in finished_trials(folder) if trial.number in valid and trial.params]
