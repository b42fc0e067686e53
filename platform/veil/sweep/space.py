"""From a search space and sampled values to a validated trial configuration."""

import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna import Trial
from optuna.trial import FixedTrial

from veil.config import SearchConfig, Settings
from veil.errors import ConfigError
from veil.interfaces import Anchor, SearchSpace, Trainable
from veil.registry import search_spaces, trainables
from veil.sweep.stopping import check_early_stopping


def load_space(name: str) -> SearchSpace:
    """The registered search space.

    Raises:
        ConfigError: no space has that name.
    """
    space: SearchSpace = search_spaces.get(name)()
    return space


def load_trainable(name: str) -> Trainable:
    """The registered trainable.

    Raises:
        ConfigError: no trainable has that name.
    """
    trainable: Trainable = trainables.get(name)()
    return trainable


def resolve_settings(search: SearchConfig, trainable: str, sampled: Mapping[str, Any]) -> Settings:
    """Sampled values over the study's base settings of a trainable, validated by the trainable.

    Raises:
        ConfigError: a setting is unknown or out of range; found before any worker starts.
    """
    values = _merge(search.base.get(trainable, {}), sampled)
    return load_trainable(trainable).Config.parse(values, where=f"settings of trainable {trainable!r}")


def study_trainables(search: SearchConfig, space: SearchSpace) -> tuple[str, ...]:
    """Every trainable that a trial of the study can run: those of its space, and those of `search.anchors`."""
    return tuple(dict.fromkeys((*space.trainables, *(anchor.trainable for anchor in search.anchors))))


PROBES = 32
"""Random samples of a space that are validated before a study starts."""


def check_space(search: SearchConfig) -> SearchSpace:
    """Load the study's space and validate each anchor and some random samples before anything is started.

    Raises:
        ConfigError: a base names a trainable that no trial runs, an anchor does not fit the space, an anchor or the
            space asks for settings that its trainable refuses, or early stopping does not fit them.
    """
    space = load_space(search.space)
    known = study_trainables(search, space)
    for name, base in search.base.items():
        if name not in known:
            raise ConfigError(
                f"search.base sets {name!r}, which the space {search.space!r} never runs; it runs {', '.join(known)}"
            )
        # On its own too: a wrong value that the space happens to sample over is still a mistake.
        load_trainable(name).Config.check_partial(base, where=f"search.base.{name}")
    wanted = [(given.trainable, given.settings) for given in search.anchors]
    wanted += [(anchor.trainable, anchor_settings(space, anchor)) for anchor in space.anchors()]
    wanted += [sample_settings(space, trial) for trial in probe_space(space)]
    stoppable: dict[str, list[Settings]] = {}
    for trainable, sampled in wanted:
        settings = resolve_settings(search, trainable, sampled)
        if getattr(load_trainable(trainable), "stoppable", False):
            stoppable.setdefault(trainable, []).append(settings)
    if search.early_stopping is not None:
        check_early_stopping(search.early_stopping, stoppable)
    return space


def probe_space(space: SearchSpace) -> list[Trial]:
    """Some random trials of a space; the same ones each time."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [study.ask() for _ in range(PROBES)]


def anchor_settings(space: SearchSpace, anchor: Anchor) -> dict[str, Any]:
    """What the space makes of an anchor.

    Raises:
        ConfigError: the anchor lacks a value that the space asks for, or holds one it never asks for.
    """
    trial = FixedTrial(anchor.params)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Optuna only warns of a fixed value outside its distribution.
            settings = space.suggest(trial, anchor.trainable)  # type: ignore[arg-type]
    except (ValueError, UserWarning) as error:
        raise ConfigError(f"anchor {anchor}: {error}") from None
    unused = anchor.params.keys() - trial.params.keys()
    if unused:
        raise ConfigError(f"anchor {anchor}: the space never asks for {', '.join(sorted(unused))}")
    return settings


def sample_settings(space: SearchSpace, trial: Trial) -> tuple[str, dict[str, Any]]:
    """Trainable and sampled settings of an asked Optuna trial; of one from `search.anchors`, those given there."""
    trainable = trial.user_attrs.get(TRAINABLE_ATTRIBUTE, space.trainables[0])
    if (given := trial.user_attrs.get(SETTINGS_ATTRIBUTE)) is not None:
        return trainable, given
    return trainable, space.suggest(trial, trainable)


TRAINABLE_ATTRIBUTE = "trainable"
"""User attribute of an enqueued Optuna trial that names its trainable; sampled trials have none."""

SETTINGS_ATTRIBUTE = "settings"
"""User attribute of an Optuna trial from `search.anchors`: its settings, of which nothing is asked of the space."""


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged
