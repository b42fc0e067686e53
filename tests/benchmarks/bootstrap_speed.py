"""Time of the bootstrap over people, as a ratio to one sort of the same scores on the same machine.

Run it by `python tests/benchmarks/bootstrap_speed.py [--people 100] [--images 15] [--replicates 1000]`; the defaults
give 1 124 250 pairs. It prints one JSON object.
"""

import argparse
import json
import os
import time

# One thread, so that the ratio does not depend on how many cores the linear algebra finds.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from veil.metrics.bootstrap import bootstrap_tar_at_far, draw_multiplicities, leave_one_out

REPEATS = 3


def seconds(run) -> float:
    """Least wall time of three runs: what the work costs when nothing else disturbs it."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--images", type=int, default=15)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--far", type=float, default=0.01)
    arguments = parser.parse_args()

    rng = np.random.default_rng(0)
    owners = np.repeat(np.arange(arguments.people), arguments.images)
    images = rng.normal(size=(arguments.people, 32))[owners] + rng.normal(size=(owners.size, 32))
    first, second = np.triu_indices(owners.size, k=1)
    scores = (images @ images.T)[first, second]
    gallery, probe = owners[first], owners[second]
    resamples = draw_multiplicities(arguments.people, arguments.replicates, seed=0)
    left_out = leave_one_out(arguments.people)

    sort = seconds(lambda: np.argsort(-scores, kind="stable"))
    bootstrap = seconds(lambda: bootstrap_tar_at_far(scores, gallery, probe, resamples, arguments.far))
    jackknife = seconds(lambda: bootstrap_tar_at_far(scores, gallery, probe, left_out, arguments.far))
    print(
        json.dumps(
            {
                "pairs": scores.size,
                "people": arguments.people,
                "replicates": arguments.replicates,
                "sort_seconds": round(sort, 3),
                "bootstrap_seconds": round(bootstrap, 3),
                "bootstrap_per_sort": round(bootstrap / sort, 1),
                "jackknife_seconds": round(jackknife, 3),
                "jackknife_per_sort": round(jackknife / sort, 1),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
