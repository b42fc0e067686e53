"""What a sweep costs beside its trials: wall time and driver memory against bare Ray Tune, on trials that do nothing.

Run it by `python tests/benchmarks/overhead.py --out FOLDER`. Three studies of the same problem, sampler, seed, number
of trials and workers, each in a process of its own, by turns; wall time counts from before Ray is started until after
it is shut down, databases and pages included:

- `bare`: Ray Tune with its OptunaSearch in memory; workers are reused, nothing is logged.
- `defaults`: the same as its documentation shows it, with a new worker for each trial and Tune's own loggers; over
  fewer trials, since it is slow.
- `veil`: `veil sweep`, with records, Optuna's database, MLflow and the frontier page.

With `--study FOLDER` it reports a real study instead: wall time of its sweep, and what its trials took of the cores.

FOLDER gets `overhead.json`.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

PER_SAMPLE_SECONDS = 1.0
DEFAULTS_TRIALS = 100


def watch_memory(finished: Callable[[], int]) -> list[tuple[int, int]]:
    """Note (trials finished, resident bytes of this process) each second from now on."""
    samples: list[tuple[int, int]] = []

    def watch() -> None:
        while True:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            samples.append((finished(), pages * resource.getpagesize()))
            time.sleep(PER_SAMPLE_SECONDS)

    threading.Thread(target=watch, daemon=True).start()
    return samples


def run_bare(trials: int, sampler: str, tuned: bool) -> dict:
    """Ray Tune alone; the clock starts before Ray does."""
    import ray
    from optuna.distributions import FloatDistribution
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    from trainables.analytic import evaluate
    from veil.cluster.joining import QUIET
    from veil.config import SearchConfig
    from veil.sweep.storage import make_sampler

    if tuned:
        os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
        os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "600"

    class Counted(tune.Callback):
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_trial_complete(self, **info: object) -> None:
            self.times.append(time.perf_counter())

    counted = Counted()

    def trial(values: dict) -> None:
        leak, utility = evaluate(values["x"], values["y"])
        tune.report({"leak": leak, "utility": utility})

    started = time.perf_counter()
    ray.init("local", num_cpus=os.cpu_count(), include_dashboard=False, **QUIET)
    search = OptunaSearch(
        {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)},
        metric=["leak", "utility"],
        mode=["min", "max"],
        sampler=make_sampler(SearchConfig(sampler=sampler)),
    )
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(trial, {"CPU": 1}),
            tune_config=tune.TuneConfig(search_alg=search, num_samples=trials, reuse_actors=tuned),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[counted]),
        )
        samples = watch_memory(lambda: len(counted.times))
        results = tuner.fit()
        ended = time.perf_counter()
    return {"trials": len(results), "seconds": ended - started, "memory": samples}


def run_veil(trials: int, sampler: str) -> dict:
    """`veil sweep`; the clock starts before Ray and the databases do."""
    from rich.console import Console

    from veil.config import SearchConfig, StudyConfig
    from veil.sweep.driver import run_study

    with tempfile.TemporaryDirectory() as folder:
        search = SearchConfig(space="analytic", sampler=sampler, trials=trials)
        config = StudyConfig(study="overhead", root=Path(folder), search=search)
        records = config.folder / "trials"
        samples = watch_memory(lambda: sum(1 for _ in records.glob("*/record.json")))
        started = time.perf_counter()
        result = run_study(config, Console(quiet=True))
        ended = time.perf_counter()
        return {"trials": len(result.records), "seconds": ended - started, "memory": samples}


RUNS: dict[str, Callable[[int, str], dict]] = {
    "bare": lambda trials, sampler: run_bare(trials, sampler, tuned=True),
    "defaults": lambda trials, sampler: run_bare(min(trials, DEFAULTS_TRIALS), sampler, tuned=False),
    "veil": run_veil,
}


def growth(samples: list[tuple[int, int]], trials: int) -> dict[str, float]:
    """Resident memory of the driver in megabytes at a tenth of the trials and at the end."""
    early = [size for finished, size in samples if finished >= trials / 10]
    late = [size for finished, size in samples if finished < trials]
    return {"MB at a tenth": early[0] / 1e6, "MB before the last trial": late[-1] / 1e6} if early else {}


def in_a_process(name: str, trials: int, sampler: str) -> dict:
    command = [sys.executable, __file__, "--one", name, "--trials", str(trials), "--sampler", sampler]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{name} ended with status {done.returncode}:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(trials: int, sampler: str, repeats: int) -> dict:
    """Run all three by turns, and compare the median wall time per trial."""
    runs: dict[str, list[dict]] = {name: [] for name in RUNS}
    for repeat in range(repeats):
        for name in RUNS:
            if name == "defaults" and repeat > 0:
                continue
            outcome = in_a_process(name, trials, sampler)
            outcome["per_trial"] = outcome["seconds"] / outcome["trials"]
            outcome["driver"] = growth(outcome.pop("memory"), outcome["trials"])
            runs[name].append(outcome)
            said = ", ".join(f"{key} {value:.0f}" for key, value in outcome["driver"].items())
            print(
                f"{name:9} {outcome['trials']:5} trials  {outcome['per_trial'] * 1000:7.1f} ms each  {said}", flush=True
            )
    medians = {name: statistics.median(run["per_trial"] for run in found) for name, found in runs.items()}
    ratios = {name: medians["veil"] / medians[name] for name in ("bare", "defaults")}
    print(f"veil / bare {ratios['bare']:.2f}   veil / defaults {ratios['defaults']:.2f}")
    return {"sampler": sampler, "cores": os.cpu_count(), "runs": runs, "per_trial": medians, "ratios": ratios}


def account(folder: Path) -> dict:
    """Wall time of a finished sweep against what its trials took of the cores."""
    from mlflow import MlflowClient

    from veil.study import StudyFolder
    from veil.tracking.tracker import local_uri

    study = StudyFolder(folder)
    config = study.config()
    client = MlflowClient(config.tracking.uri or local_uri(config.root))
    experiment = client.get_experiment_by_name(config.study)
    (sweep,) = client.search_runs([experiment.experiment_id], "tags.`veil.kind` = 'sweep'")
    records = study.records()
    side_by_side = max(1, (os.cpu_count() or 1) // config.search.cpus_per_trial)
    busy = sum(record.seconds.get("total", 0.0) for record in records) / side_by_side
    wall = sweep.data.metrics["seconds/sweep"]
    peak = [record.peak_memory_bytes / 1e6 for record in records]
    outcome = {"trials": len(records), "wall": wall, "busy": busy, "ratio": wall / busy}
    outcome |= {"median_peak_MB": statistics.median(peak), "largest_peak_MB": max(peak)}
    print("  ".join(f"{name} {value:.2f}" for name, value in outcome.items()))
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--study", type=Path)
    parser.add_argument("--one", choices=RUNS)
    options = parser.parse_args()
    if options.one:
        outcome = RUNS[options.one](options.trials, options.sampler)
        outcome["peak_MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(json.dumps(outcome))
        return
    outcome = account(options.study) if options.study else compare(options.trials, options.sampler, options.repeats)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "overhead.json").write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
