"""Run a study on a cluster that starts without workers; a program for a host of its own, since it stops all of Ray.

Nodes are raylets of this machine, which Ray's fake provider starts as a real one would rent machines. The last line
printed is JSON: how many workers there were before the study, at most while it ran, and at the end.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import yaml
from ray._raylet import GcsClient
from ray.cluster_utils import AutoscalingCluster

IDLE_MINUTES = 0.2
SECONDS_TO_SHRINK = 900


def workers(client: GcsClient) -> int:
    """Nodes that are alive, without the head."""
    return sum(node.state == 0 for node in client.get_all_node_info(timeout=120).values()) - 1


def main(definition: Path, study: Path) -> None:
    """Start the cluster, sweep, and wait until it has shrunk.

    Args:
        definition: file of a cluster, whose node types are taken with their resources and limits.
        study: study file.
    """
    written = yaml.safe_load(definition.read_text(encoding="utf-8"))
    head = written["head_node_type"]
    types = {
        name: {key: node[key] for key in ("resources", "min_workers", "max_workers")} | {"node_config": {}}
        for name, node in written["available_node_types"].items()
        if name != head
    }
    cluster = AutoscalingCluster(
        head_resources=dict(written["available_node_types"][head]["resources"]),
        worker_node_types=types,
        autoscaler_v2=True,
        max_workers=written["max_workers"],
        idle_timeout_minutes=IDLE_MINUTES,
    )
    cluster.start()
    try:
        client = GcsClient(address=Path("/tmp/ray/ray_current_cluster").read_text().strip())
        before = workers(client)
        command = [sys.executable, "-m", "veil.cli", "sweep", "--config", str(study), "--address", "auto"]
        most = 0
        with subprocess.Popen(command, env=os.environ) as sweep:
            while sweep.poll() is None:
                most = max(most, workers(client))
                time.sleep(1)
        deadline = time.monotonic() + SECONDS_TO_SHRINK
        while (left := workers(client)) and time.monotonic() < deadline:
            time.sleep(2)
        print(json.dumps({"status": sweep.returncode, "before": before, "most": most, "end": left}))
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
