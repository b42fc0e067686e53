"""The node types of cluster.yaml start from nothing when a study needs them, and end when it does not."""

import json
import shutil
from pathlib import Path

import pytest
import ray
import yaml
from network_hosts import ENVIRONMENT, HOME, SHARED, environment_for_hosts, missing_for_hosts, network_of_hosts

from veil.study import StudyFolder

pytest.importorskip("grpc", reason="ray[default] is not installed (extra `cluster`)")

REPOSITORY = Path(__file__).parents[2]
MISSING = missing_for_hosts()
FAKE_PROVIDER = Path("ray/autoscaler/_private/fake_multi_node")
DEFAULTS = {
    "cluster_name": "fake",
    # All nodes share one address, and nobody logs in to them.
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
    },
    "max_workers": 8,
    "upscaling_speed": 1.0,
    "idle_timeout_minutes": 1,
    "head_node_type": "ray.head.default",
    "available_node_types": {},
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


def with_defaults_of_the_fake_provider(folder: Path, also: dict[Path, str]) -> dict[Path, str]:
    """Ray's fake provider with the file of its defaults, which Ray's wheel lacks, for the hosts to see."""
    packages = Path(ray.__file__).parents[1]
    shutil.copytree(packages / FAKE_PROVIDER, folder)
    (folder / "example.yaml").write_text(yaml.safe_dump(DEFAULTS))
    return also | {folder: f"{also[packages]}/{FAKE_PROVIDER}"}


@pytest.mark.cluster
@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_nodes_come_from_zero_for_a_study_and_go_when_it_is_over(tmp_path: Path) -> None:
    also = environment_for_hosts(tmp_path / "environment", REPOSITORY / "constraints.txt")
    also = with_defaults_of_the_fake_provider(tmp_path / "provider", also)
    with network_of_hosts(tmp_path / "network", {"alone": "10.78.0.2"}, also | {REPOSITORY: "repository"}) as hosts:
        host = hosts["alone"]
        (host.home / "veil").symlink_to("/mnt/repository")
        study = {
            "study": "scaled",
            "root": f"{SHARED}/studies",
            "search": {
                "space": "analytic",
                "trials": 2,
                "gpus_per_trial": 1,
                "cpus_per_trial": 8,
                "base": {"analytic": {"sleep_seconds": 20.0}},
            },
        }
        shared = tmp_path / "network" / "shared"
        (shared / "study.yaml").write_text(yaml.safe_dump(study))
        program = f"{HOME}/veil/tests/helpers/scale_from_zero.py"
        command = [f"{ENVIRONMENT}/bin/python", program, f"{HOME}/veil/cluster.yaml", f"{SHARED}/study.yaml"]
        done = host.run(["env", "RAY_AUTH_MODE=disabled", *command], timeout=3000, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        counted = json.loads(done.stdout.splitlines()[-1])
        assert counted == {"status": 0, "before": 0, "most": 2, "end": 0}, done.stdout + done.stderr
        assert [record.state for record in StudyFolder(shared / "studies" / "scaled").records()] == ["valid"] * 2
