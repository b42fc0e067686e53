"""Syne Tune's multi-objective ASHA on the same recorded curves: what we share, and where its release goes wrong."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from reference_packages import use_reference_package

from trainables.analytic import AnalyticConfig, distance, evaluate
from veil.frontier.halving import last_place
from veil.frontier.hypervolume import hypervolume

RUNGS = (3, 9, 27)
ETA = 3
IMAGES = 81
TRIALS = 120
WORKERS = 6

Decide = Callable[[int, int, tuple[float, float]], bool]
"""Whether a trial goes on from a rung, by its number, the rung and its losses there."""


class Study(NamedTuple):
    """What became of recorded trials.

    Attributes:
        decisions: at each rung that a trial reached, in order of time: trial, rung, whether it went on.
        finished: trials that ran to their end.
        images: that all trainings saw.
    """

    decisions: list[tuple[int, int, bool]]
    finished: list[int]
    images: int


class Curves(NamedTuple):
    """Trials of the analytic problem, recorded.

    Attributes:
        rungs: losses (TRIALS, 2) at each rung, with the noise of a cheap attacker.
        end: losses (TRIALS, 2) at the end.
    """

    rungs: dict[int, np.ndarray]
    end: np.ndarray


def record(seed: int) -> Curves:
    rng = np.random.default_rng(seed)
    configs = [AnalyticConfig(x=x, y=y) for x, y in rng.random((TRIALS, 2))]

    def losses(images: int) -> np.ndarray:
        points = [evaluate(config.x, distance(config, images / IMAGES)) for config in configs]
        return np.array(points) * (1, -1)

    return Curves({rung: losses(rung) + rng.normal(0, 0.03, (TRIALS, 2)) for rung in RUNGS}, losses(IMAGES))


def replay(curves: Curves, decide: Decide) -> Study:
    """Run recorded trials on several workers, each taking the next trial when its own has ended."""
    study = Study([], [], 0)
    images, waiting = 0, iter(range(TRIALS))
    running = {worker: (0.1 * worker, next(waiting), 0) for worker in range(WORKERS)}
    while running:
        worker = min(running, key=lambda worker: (running[worker][0] + _ahead(running[worker][2]), worker))
        time, trial, seen = running.pop(worker)
        step = _ahead(seen)
        time, seen, images = time + step, seen + step, images + step
        goes_on = seen < IMAGES
        if goes_on:
            goes_on = decide(trial, seen, tuple(curves.rungs[seen][trial]))
            study.decisions.append((trial, seen, goes_on))
        else:
            study.finished.append(trial)
        if goes_on:
            running[worker] = (time, trial, seen)
        elif (following := next(waiting, None)) is not None:
            running[worker] = (time, following, 0)
    return study._replace(images=images)


def _ahead(seen: int) -> int:
    return min(stop for stop in (*RUNGS, IMAGES) if stop > seen) - seen


def ours() -> Decide:
    at_rung: dict[int, list[tuple[float, float]]] = {rung: [] for rung in RUNGS}

    def decide(trial: int, rung: int, losses: tuple[float, float]) -> bool:
        at_rung[rung].append(losses)
        return last_place(np.array(at_rung[rung])).goes_on(ETA)

    return decide


def theirs(priority: Callable | None = None) -> Decide:
    """Syne Tune's bookkeeping of rungs, with its own priority unless another is given."""
    from syne_tune.optimizer.schedulers.asha import Bracket
    from syne_tune.optimizer.schedulers.multiobjective.multiobjective_priority import NonDominatedPriority

    bracket = Bracket(RUNGS[0], IMAGES, ETA, 0, priority or NonDominatedPriority())
    return lambda trial, rung, losses: bracket.on_result(trial, rung, dict(enumerate(losses))) == "CONTINUE"


def as_documented(losses: np.ndarray) -> np.ndarray:
    """Their fronts and their epsilon-net, put together to what their `MOPriority` promises: a rank of each row."""
    from syne_tune.optimizer.schedulers.multiobjective import non_dominated_priority as theirs

    ranks, left = np.empty(len(losses), int), np.arange(len(losses))
    while left.size:
        best = theirs.pareto_efficient(losses[left])
        front, left = left[best], left[~best]
        ranks[front] = len(losses) - left.size - front.size + theirs.compute_epsilon_net(losses[front], dim=0)
    return ranks


@pytest.fixture
def syne_tune(monkeypatch: pytest.MonkeyPatch) -> Path:
    return use_reference_package("syne_tune", monkeypatch)


@pytest.mark.data
@pytest.mark.parametrize("seed", range(3))
def test_every_decision_is_that_of_their_parts(syne_tune: Path, seed: int) -> None:
    curves = record(seed)
    own, other = replay(curves, ours()), replay(curves, theirs(as_documented))
    assert len(own.decisions) > TRIALS and own.decisions == other.decisions
    assert own.finished and own.images < 0.4 * TRIALS * IMAGES


@pytest.mark.data
def test_their_release_stops_a_trial_that_beats_all_others(syne_tune: Path) -> None:
    """Its priority returns the rows in their order where ranks are expected, so that places are read off wrongly."""
    losses = [(0.5, 0.5), (0.6, 0.6), (0.7, 0.7), (0.95, 0.95), (0.1, 0.1)]
    stock, own = theirs(), ours()
    assert [stock(trial, RUNGS[0], point) for trial, point in enumerate(losses)][-1] is False
    assert [own(trial, RUNGS[0], point) for trial, point in enumerate(losses)][-1] is True


@pytest.mark.data
def test_more_of_the_frontier_is_kept_than_by_their_release(syne_tune: Path) -> None:
    def kept(study: Study, curves: Curves) -> float:
        reference = np.array([1.0, 0.0])
        return hypervolume(curves.end[study.finished], reference) / hypervolume(curves.end, reference)

    recorded = [record(seed) for seed in range(8)]
    own = [replay(curves, ours()) for curves in recorded]
    stock = [replay(curves, theirs()) for curves in recorded]
    shares = _means(own, recorded, kept), _means(stock, recorded, kept)
    print("hypervolume kept", shares, "images", [np.mean([study.images for study in found]) for found in (own, stock)])
    assert shares[0] > 0.85 and shares[0] > shares[1]


def _means(studies: Sequence[Study], recorded: Sequence[Curves], kept: Callable[[Study, Curves], float]) -> float:
    return float(np.mean([kept(study, curves) for study, curves in zip(studies, recorded, strict=True)]))
