"""Ray while a study runs: on this machine alone, or a cluster that is joined."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from veil.cluster.joining import QUIET, check_nodes_see, join_cluster
from veil.config import StudyConfig
from veil.errors import ConfigError
from veil.study import StudyFolder
from veil.sweep.deaths import take_lack_of_memory_for_death

OBJECT_STORE_BYTES = 200 * 1024**2

SETTINGS = {
    # A tool about privacy tells nobody what it runs.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Veil shows its own progress, keeps its own records, and is continued from them: Tune need not.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "600",
    # A trial that is not valid reports no objective, on purpose.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
}


@contextmanager
def ray_session(config: StudyConfig, address: str | None) -> Iterator[None]:
    """Start or join Ray, and leave it at the end.

    Args:
        config: of the study, whose folder is there.
        address: Ray cluster to join ("auto" on its head); None starts Ray on this machine alone.

    Raises:
        ConfigError: a trial needs more cores than there are, or the cluster cannot be joined.
    """
    take_lack_of_memory_for_death()
    # Of what goes wrong with a trial, Veil says a line where Tune prints a traceback.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        if address is None:
            _start(config)
        else:
            join_cluster(address)
            check_nodes_see(StudyFolder(config.folder.resolve()).manifest_path)
        yield
    finally:
        ray.shutdown()


def _start(config: StudyConfig) -> None:
    search = config.search
    needed = search.cpus_per_trial * search.workers_per_trial
    available = os.cpu_count() or 1
    if needed > available:
        raise ConfigError(
            f"a trial needs {needed} CPU cores (search.cpus_per_trial × search.workers_per_trial), "
            f"this machine has {available}; lower one of them"
        )
    # With training workers of their own, trials only wait: one core more than there are lets all workers start.
    spare = 1 if search.workers_per_trial > 1 else 0
    ray.init(
        "local", num_cpus=available + spare, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **QUIET
    )
