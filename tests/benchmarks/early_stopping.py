"""Hypervolume per compute: early stopping with TPE, and TPE, NSGA-II and random search that stop nothing.

Run it by `python tests/benchmarks/early_stopping.py --out FOLDER`. It simulates studies of the analytic trainable on
several workers: trials are asked, compared at rungs and told as in a sweep, and only the waiting is left out. Compute
is counted in images seen by trainings, whether they were ended or not. What cheap attackers see at a rung has noise.
There are two kinds of learning curves: usual ones, and ones of which an early look is wrong about half of the front.

FOLDER gets `early_stopping.json` with all numbers and `early_stopping.png` with the plot.
"""

import argparse
import heapq
import json
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import optuna
from optuna.trial import TrialState
from scipy.stats import t as student

from trainables.analytic import FRONT_HYPERVOLUME, AnalyticConfig, distance, evaluate
from veil.config import EarlyStoppingConfig, SearchConfig
from veil.frontier.halving import last_place
from veil.frontier.hypervolume import hypervolume
from veil.sweep.storage import make_sampler

matplotlib.use("Agg")
from matplotlib import pyplot as plt

WORKERS = 4
NOISE = 0.03
REFERENCE = np.array([1.0, 0.0])
STOPPING = EarlyStoppingConfig(rungs=(9, 27), controls=0.0)
CURVES = {"usual": 0.25, "late": 1.0}
METHODS: dict[str, tuple[str, EarlyStoppingConfig | None]] = {
    "TPE, early stopping": ("tpe", STOPPING),
    "TPE": ("tpe", None),
    "random, early stopping": ("random", STOPPING),
    "random": ("random", None),
    "NSGA-II": ("nsga2", None),
}
LINES = (("#0072b2", "-"), ("#56b4e9", "-"), ("#e69f00", "--"), ("#999999", "-"), ("#009e73", ":"))
"""Colour and dashes of each method."""


class Outcome(NamedTuple):
    """One simulated study.

    Attributes:
        volumes: hypervolume of the finished trials after each full training's worth of images.
        trials: started.
        stopped: ended early.
    """

    volumes: np.ndarray
    trials: int
    stopped: int


class Running(NamedTuple):
    """A worker's next event; the earliest comes first."""

    time: float
    worker: int
    trial: optuna.Trial
    config: AnalyticConfig
    seen: int


def simulate(sampler: str, stopping: EarlyStoppingConfig | None, late: float, seed: int, budget: int) -> Outcome:
    """One study.

    Args:
        sampler: of the search.
        stopping: None ends no trial early.
        late: of the learning curves.
        seed: of sampler and noise.
        budget: compute, in full trainings.
    """
    study = optuna.create_study(
        directions=["minimize", "maximize"], sampler=make_sampler(SearchConfig(sampler=sampler, seed=seed))
    )
    rungs = stopping.rungs if stopping is not None else ()
    at_rung: dict[int, list[tuple[float, float]]] = {rung: [] for rung in rungs}
    finished: list[tuple[float, float]] = []
    history: list[tuple[int, float]] = [(0, 0.0)]
    images, stopped = 0, 0
    queue: list[Running] = []

    def go_on(time: float, worker: int, trial: optuna.Trial, config: AnalyticConfig, seen: int) -> None:
        following = min(rung for rung in (*rungs, config.images) if rung > seen)
        heapq.heappush(queue, Running(time + following - seen, worker, trial, config, following))

    def start(time: float, worker: int) -> None:
        trial = study.ask()
        config = AnalyticConfig(x=trial.suggest_float("x", 0, 1), y=trial.suggest_float("y", 0, 1), late=late)
        go_on(time, worker, trial, config, 0)

    for worker in range(WORKERS):
        start(0.0, worker)
    while images < budget * AnalyticConfig().images:
        time, worker, trial, config, seen = heapq.heappop(queue)
        images += seen - max(rung for rung in (0, *rungs) if rung < seen)
        if seen == config.images:
            values = evaluate(config.x, config.y)
            study.tell(trial, values)
            finished.append((values[0], -values[1]))
            history.append((images, hypervolume(np.array(finished), REFERENCE)))
            start(time, worker)
            continue
        leak, utility = evaluate(config.x, distance(config, seen / config.images))
        noise = np.random.default_rng((seed, trial.number, seen)).normal(0, NOISE, 2)
        at_rung[seen].append((leak + noise[0], -utility + noise[1]))
        assert stopping is not None
        if last_place(np.array(at_rung[seen])).goes_on(stopping.eta):
            go_on(time, worker, trial, config, seen)
        else:
            study.tell(trial, state=TrialState.PRUNED)
            stopped += 1
            start(time, worker)
    spent, volumes = np.array(history).T
    grid = np.arange(budget + 1) * AnalyticConfig().images
    return Outcome(volumes[np.searchsorted(spent, grid, side="right") - 1], len(study.trials), stopped)


def interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over seeds (first axis), and the half-width of its 95 % interval by Student's t."""
    spread = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return values.mean(axis=0), student.ppf(0.975, len(values) - 1) * spread


def draw(numbers: dict[str, dict[str, dict[str, list[float]]]], path: Path) -> None:
    """Hypervolume against compute, a panel for each kind of curves, a band for each method's interval."""
    figure, panels = plt.subplots(1, len(numbers), figsize=(11, 4.4), sharey=True, constrained_layout=True)
    for panel, (curves, methods) in zip(panels, numbers.items(), strict=True):
        for (method, found), (colour, dashes) in zip(methods.items(), LINES, strict=True):
            mean, half = np.array(found["hypervolume"]), np.array(found["half_width"])
            compute = np.arange(len(mean))
            panel.plot(compute, mean, dashes, color=colour, label=method, linewidth=2)
            panel.fill_between(compute, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
        panel.axhline(FRONT_HYPERVOLUME, color="black", linewidth=0.8, linestyle=":")
        panel.annotate("whole front", (0.3, FRONT_HYPERVOLUME), va="bottom", fontsize=9)
        panel.set(title=f"{curves} learning curves", xlabel="compute, in full trainings", ylim=(0, 0.72))
        panel.grid(alpha=0.25)
    panels[0].set_ylabel("hypervolume of finished trials")
    panels[0].legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Simulate, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=60, help="compute of a study, in full trainings")
    parser.add_argument("--out", type=Path, required=True, help="folder for numbers and plot")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    numbers: dict[str, dict[str, dict[str, list[float]]]] = {}
    for curves, late in CURVES.items():
        numbers[curves] = {}
        for method, (sampler, stopping) in METHODS.items():
            outcomes = [simulate(sampler, stopping, late, seed, arguments.budget) for seed in range(arguments.seeds)]
            volumes = np.array([outcome.volumes for outcome in outcomes])
            mean, half = interval(volumes)
            numbers[curves][method] = {
                "hypervolume": mean.tolist(),
                "half_width": half.tolist(),
                "final": volumes[:, -1].tolist(),
                "trials": [outcome.trials for outcome in outcomes],
                "stopped": [outcome.stopped for outcome in outcomes],
            }
            half_way = arguments.budget // 2
            print(
                f"{curves:6} {method:24} hypervolume {mean[half_way]:.3f} ± {half[half_way]:.3f} after {half_way}, "
                f"{mean[-1]:.3f} ± {half[-1]:.3f} after {arguments.budget} trainings; "
                f"{np.mean([outcome.trials for outcome in outcomes]):.0f} trials, "
                f"{np.mean([outcome.stopped for outcome in outcomes]):.0f} stopped",
                flush=True,
            )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "early_stopping.json").write_text(json.dumps(numbers), encoding="utf-8")
    draw(numbers, arguments.out / "early_stopping.png")


if __name__ == "__main__":
    main()
