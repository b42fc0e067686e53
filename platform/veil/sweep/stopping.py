"""Early stopping: a trial is judged at each rung, compares itself with the others there, and ends itself.

Every trial decides from the files of all trials in the study folder, which each node reaches. Nothing central has to
live, to answer, or to agree: asynchronous successive halving needs no more than what has been published so far.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np

from veil.config import EarlyStoppingConfig, SearchConfig, Settings
from veil.errors import ConfigError, StoppedEarlyError
from veil.frontier.halving import Place, last_place
from veil.interfaces import TrialOutcome
from veil.objectives import Objective, get_objective
from veil.protocol.score import Estimate
from veil.records import EarlyScore
from veil.registry import attackers
from veil.study import StudyFolder

JudgeEarly = Callable[[TrialOutcome], tuple[dict[str, Estimate], str | None]]
"""Objectives of what a trial would return at a rung, or the reason why it cannot be judged."""


class EarlyStopping:
    """Halving as one trial takes part in it.

    Args:
        folder: of the study.
        search: settings of the study.
        number: of the trial.
        judge: judges an outcome by the attackers of early stopping.
    """

    def __init__(self, folder: StudyFolder, search: SearchConfig, number: int, judge: JudgeEarly) -> None:
        assert search.early_stopping is not None
        self._folder = folder
        self._settings = search.early_stopping
        self._objectives = [get_objective(name) for name in search.objectives]
        self._number = number
        self._judge = judge
        self._is_control = is_control(search.seed, number, search.early_stopping.controls)

    def rungs_left(self) -> tuple[int, ...]:
        """Rungs that the trial has not passed.

        Raises:
            StoppedEarlyError: it was stopped at one of them, by a process that did not live to record it.
        """
        scores = {score.images: score for score in self._folder.early_scores(self._number)}
        for score in scores.values():
            if score.verdict == "stopped":
                raise self._stopped(score)
            if score.verdict == "control":
                return ()
        return tuple(
            images for images in self._settings.rungs if images not in scores or scores[images].verdict is None
        )

    def __call__(self, outcome: TrialOutcome, images: int) -> None:
        """Judge what the trial has become, publish it, and compare it with all that have reached the rung.

        Raises:
            StoppedEarlyError: too many are better.
        """
        known = {score.images: score for score in self._folder.early_scores(self._number)}
        if any(score.verdict == "control" for score in known.values()):
            return  # What a trial does that the rule has stopped must move no other one.
        score = known.get(images) or self._score(outcome, images)
        score = score.model_copy(update=self._decide(score))
        self._folder.write_early_score(self._number, score)
        if score.verdict == "stopped":
            raise self._stopped(score)

    def _score(self, outcome: TrialOutcome, images: int) -> EarlyScore:
        started = time.perf_counter()
        objectives, reason = self._judge(outcome)
        score = EarlyScore(
            images=images,
            objectives={objective.name: objectives[objective.name] for objective in self._objectives if objectives},
            reason=reason,
            seconds=time.perf_counter() - started,
        )
        self._folder.write_early_score(self._number, score)
        return score

    def _decide(self, score: EarlyScore) -> dict[str, object]:
        if score.reason is not None:
            return {"verdict": "goes on"}
        others = self._folder.rung(score.images)
        rivals = [other for number, other in others.items() if number != self._number and other.reason is None]
        place = place_of(score, rivals, self._objectives)
        verdict = "goes on"
        if not place.goes_on(self._settings.eta):
            verdict = "control" if self._is_control else "stopped"
        return {"rank": place.rank, "of": place.of, "verdict": verdict}

    def _stopped(self, score: EarlyScore) -> StoppedEarlyError:
        names = ", ".join(score.objectives)
        return StoppedEarlyError(f"rung {score.images}: rank {score.rank} of {score.of} by {names}", score.images)


def place_of(score: EarlyScore, rivals: list[EarlyScore], objectives: list[Objective]) -> Place:
    """Place of a score among others of its rung; objectives count by the width of their bounds, which no data moves."""
    losses = [
        [objective.as_loss(item.objectives[objective.name].value) / _width(objective) for objective in objectives]
        for item in (*rivals, score)
    ]
    return last_place(np.array(losses))


def _width(objective: Objective) -> float:
    return objective.bounds[1] - objective.bounds[0]


def is_control(seed: int, number: int, share: float) -> bool:
    """Whether a trial runs to its end whatever the rule says; drawn by its number, so that no process has to agree.

    >>> sum(is_control(0, number, 0.1) for number in range(1000))
    99
    """
    return bool(np.random.default_rng((seed, number)).random() < share)


def check_early_stopping(stopping: EarlyStoppingConfig, configured: Mapping[str, list[Settings]]) -> None:
    """Refuse settings that would stop nothing, or judge by attackers that there are not.

    Args:
        stopping: the settings.
        configured: configurations of each stoppable trainable, as trials of the study get them.

    Raises:
        ConfigError: an attacker is unknown, no trial can be stopped, or a training ends before a rung.
    """
    for name in stopping.attackers:
        attackers.get(name)
    if not configured:
        raise ConfigError(
            "search.early_stopping is set, but no trainable of the space can be stopped early; remove it, or choose "
            "another search.space"
        )
    for name, examples in configured.items():
        shortest = min(example.model_dump()["images"] for example in examples)
        if stopping.rungs[-1] >= shortest:
            raise ConfigError(
                f"search.early_stopping.rungs has {stopping.rungs[-1]} images, expected fewer than the {shortest} that "
                f"a training of {name!r} sees; lower the rung or raise search.base.{name}.images"
            )
