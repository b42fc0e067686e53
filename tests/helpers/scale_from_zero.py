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
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from ray.cluster_utils import AutoscalingCluster

IDLE_MINUTES = 0.2
SECONDS_TO_SHRINK = 900


# Ray's wheel lacks the file that AutoscalingCluster reads its defaults from.
DEFAULTS = {
    "cluster_name": "fake",
    # All nodes share one address, and nobody logs in to them.
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
        "launch_multiple": True,
        "head_node_id": FAKE_HEAD_NODE_ID,
    },
    "head_node_type": "ray.head.default",
    "upscaling_speed": 1.0,
    "auth": {},
    "docker": {},
    **{f"{kind}_commands": [] for kind in ("initialization", "setup", "head_setup", "worker_setup")},
    **{f"{kind}_start_ray_commands": [] for kind in ("head", "worker")},
    "file_mounts": {},
    "cluster_synced_files": [],
    "file_mounts_sync_continuously": False,
    "rsync_exclude": [],
    "rsync_filter": [],
}


class FakeCluster(AutoscalingCluster):
    """AutoscalingCluster with defaults of its own."""

    def _generate_config(
        self, head_resources: dict, worker_node_types: dict, autoscaler_v2: bool = False, **settings: object
    ) -> dict:
        head = {"resources": head_resources, "node_config": {}, "max_workers": 0}
        return DEFAULTS | {"available_node_types": worker_node_types | {"ray.head.default": head}} | settings


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
    cluster = FakeCluster(
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
