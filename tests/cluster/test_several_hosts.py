"""A cluster of several hosts, started by `ray up` over SSH with the on-premise file: sweeps, loss and return of a host.

The hosts are network namespaces of this machine (`network_hosts`). What happened, step by step, is written to the file
that VEIL_CLUSTER_TRANSCRIPT names, if it does.
"""

import json
import os
import re
import secrets
import shlex
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from network_hosts import ENVIRONMENT, SHARED, Host, environment_for_hosts, missing_for_hosts, network_of_hosts

from veil.overview import study_overview
from veil.study import StudyFolder

pytest.importorskip("grpc", reason="ray[default] is not installed (extra `cluster`)")

MISSING = missing_for_hosts()

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]

REPOSITORY = Path(__file__).parents[2]
PLUGIN = Path(__file__).parent / "plugin"
ADDRESSES = {"laptop": "10.77.0.5", "head": "10.77.0.10", "node1": "10.77.0.11", "node2": "10.77.0.12"}
WORKERS = ("node1", "node2")
CORES = 3
"""Cores that each worker claims to have, so that two training workers with two cores each need two hosts."""

ALIVE = """
import sys
from ray._raylet import GcsClient
nodes = GcsClient(address=sys.argv[1]).get_all_node_info(timeout=60).values()
print(*(node.node_manager_hostname for node in nodes if node.state == 0))
"""


class Cluster(NamedTuple):
    """What the tests work on.

    Attributes:
        hosts: by name.
        shared: the folder that all hosts see.
        seconds: how long `ray up` took until all workers had joined, as a measure of this machine's pace.
        tell: writes a line of the transcript.
    """

    hosts: dict[str, Host]
    shared: Path
    seconds: float
    tell: Callable[[str], None]

    def from_laptop(self, command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell command where a user would: in a clone of the repository, on a machine outside the cluster."""
        line = f"cd /mnt/repository && {command}"
        done = self.hosts["laptop"].run(["bash", "-c", line], timeout=3000, check=False)
        assert done.returncode == 0 or not check, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def on_head(self, command: str) -> list[str]:
        """Command line that runs a shell command on the head, as `ray exec` does, with the plug-in at hand."""
        shell = f"bash --login -c -i {shlex.quote(f'source ~/.bashrc; export PYTHONPATH=~/plugin; {command}')}"
        quiet = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        return self.hosts["laptop"].command(["ssh", *quiet.split(), f"root@{ADDRESSES['head']}", shell])

    def ask_for_nodes(self, authentication: str) -> subprocess.CompletedProcess[str]:
        """Ask Ray, from a node that holds the token, which hosts are alive; with it ("token") or without."""
        ask = ["env", f"RAY_AUTH_MODE={authentication}", f"{ENVIRONMENT}/bin/python", "-c", ALIVE]
        return self.hosts["head"].run([*ask, f"{ADDRESSES['head']}:6379"], check=False)

    def alive(self) -> list[str]:
        """Names of the hosts that Ray counts as alive."""
        done = self.ask_for_nodes("token")
        assert done.returncode == 0, done.stderr
        return sorted(done.stdout.split())

    def await_hosts(self, expected: set[str], seconds: float) -> float:
        """Wait until these hosts and no others are alive; returns how long that took."""
        started = time.monotonic()
        while set(alive := self.alive()) != expected:
            assert time.monotonic() < started + seconds, f"alive: {alive}, expected {sorted(expected)}"
            time.sleep(2)
        return time.monotonic() - started

    def study(self, name: str, **search: object) -> StudyFolder:
        """Write a study file to the shared folder; returns where the study will lie."""
        values = {"study": name, "root": f"{SHARED}/studies", "search": search}
        values["tracking"] = {"uri": "http://127.0.0.1:5000"}
        (self.shared / f"{name}.yaml").write_text(yaml.safe_dump(values))
        return StudyFolder(self.shared / "studies" / name)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    told = Path(os.environ.get("VEIL_CLUSTER_TRANSCRIPT", folder / "transcript.txt"))
    started = time.monotonic()

    def tell(line: str) -> None:
        with told.open("a", encoding="utf-8") as transcript:
            transcript.write(f"{time.monotonic() - started:6.0f} s  {line}\n")

    also = environment_for_hosts(folder / "environment", REPOSITORY / "constraints.txt")
    _install_plugin(folder / "environment")
    with network_of_hosts(folder / "network", ADDRESSES, also | {REPOSITORY: "repository"}) as hosts:
        tell(f"hosts: {', '.join(f'{name} {address}' for name, address in ADDRESSES.items())}")
        home = hosts["laptop"].home
        (home / ".ray").mkdir()
        (home / ".ray" / "auth_token").write_text(secrets.token_hex(32))
        (home / "cluster.yaml").write_text(yaml.safe_dump(_on_test_hosts(), sort_keys=False))
        cluster = Cluster(hosts, folder / "network" / "shared", 0.0, tell)
        up = time.monotonic()
        cluster.from_laptop("ray up --yes ~/cluster.yaml")
        tell(f"$ ray up cluster.yaml: the head answers after {time.monotonic() - up:.0f} s")
        cluster.await_hosts({"head", *WORKERS}, 1800)
        cluster = cluster._replace(seconds=time.monotonic() - up)
        tell(f"all workers have joined after {cluster.seconds:.0f} s")
        # The plug-in lies on the head alone: elsewhere, a trial can have it from the driver only.
        subprocess.run(["cp", "-r", str(PLUGIN), str(hosts["head"].home)], check=True)
        yield cluster


def _on_test_hosts() -> dict:
    """The on-premise file with the addresses of the test's hosts, which claim more cores than this machine has."""
    values = yaml.safe_load((REPOSITORY / "platform" / "cluster" / "on-premise.yaml").read_text(encoding="utf-8"))
    values["provider"] |= {"head_ip": ADDRESSES["head"], "worker_ips": [ADDRESSES[name] for name in WORKERS]}
    values["auth"]["ssh_user"] = "root"
    values["worker_start_ray_commands"][-1] += f" --num-cpus={CORES}"
    return values


def _install_plugin(environment: Path) -> None:
    """Declare the plug-in as an installed package, whose code lies elsewhere."""
    (packages,) = environment.glob("lib/*/site-packages")
    about = packages / "whereabouts-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: whereabouts\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[veil.plugins]\nwhereabouts = whereabouts\n")


def hosts_of(folder: StudyFolder) -> dict[int, list[str]]:
    """Hosts of all attempts at each trial, by its number."""
    found = {}
    for path in sorted(folder.path.glob("trials/*/attempts.jsonl")):
        found[int(path.parent.name)] = [json.loads(line)["host"] for line in path.read_text().splitlines()]
    return found


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(1)


def test_pages_are_behind_ssh_and_the_cluster_behind_its_token(cluster: Cluster) -> None:
    head = ADDRESSES["head"]
    for port in (8265, 5000):
        opened = cluster.hosts["laptop"].run(["bash", "-c", f"exec 3<> /dev/tcp/{head}/{port}"], check=False)
        assert opened.returncode != 0, f"port {port} is open without a tunnel"
    forward = "-o StrictHostKeyChecking=no -L 8265:127.0.0.1:8265 -L 5000:127.0.0.1:5000"
    tunnel = cluster.hosts["laptop"].command(["ssh", "-N", *forward.split(), f"root@{head}"])
    with subprocess.Popen(tunnel, stderr=subprocess.DEVNULL) as forwarding:
        try:
            get = f"{ENVIRONMENT}/bin/python -c 'import requests, sys; print(requests.get(sys.argv[1]).status_code)' "
            wait_until(
                lambda: cluster.from_laptop(get + "http://127.0.0.1:5000/health", check=False).stdout.strip() == "200",
                300,
                "MLflow through the tunnel",
            )
            dashboard = cluster.from_laptop(get + "http://127.0.0.1:8265/api/version").stdout.strip()
            assert dashboard == "401", "Ray's dashboard answers without a token"
            _sweep_as_a_job(cluster)
        finally:
            forwarding.terminate()
    refused = cluster.ask_for_nodes("disabled")
    assert refused.returncode != 0 and "InvalidAuthToken" in refused.stderr, "Ray answers without the token"
    cluster.tell(
        "without a tunnel: ports 8265 and 5000 refused; without the token: 401 by the dashboard, refused by Ray itself"
    )


def _sweep_as_a_job(cluster: Cluster) -> None:
    folder = cluster.study("job", space="analytic", trials=2)
    sweep = f"veil sweep --config {SHARED}/job.yaml --address auto"
    job = f"env PYTHONPATH=platform:.:{PLUGIN.relative_to(REPOSITORY)} {sweep}"
    cluster.from_laptop(f"RAY_AUTH_MODE=token ray job submit --address http://127.0.0.1:8265 --working-dir . -- {job}")
    assert [record.state for record in folder.records()] == ["valid", "valid"]
    cluster.tell(f"$ ray job submit … {sweep}: {len(folder.records())} trials, on {hosts_of(folder)}")


def test_training_workers_of_one_trial_sit_on_different_hosts(cluster: Cluster) -> None:
    folder = cluster.study("meeting", space="whereabouts", trials=1, workers_per_trial=2, cpus_per_trial=2)
    done = subprocess.run(
        cluster.on_head(f"veil sweep --config {SHARED}/meeting.yaml --address auto"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = [(folder.trial(0) / f"worker-{rank}").read_text().split() for rank in range(2)]
    assert {host for host, _ in found} == set(WORKERS)
    assert [counted for _, counted in found] == ["2", "2"], "the workers did not find each other"
    where = ", ".join(f"worker {rank} on {host}" for rank, (host, _) in enumerate(found))
    cluster.tell(f"$ veil sweep --config meeting.yaml --address auto: trial 0 on {hosts_of(folder)[0][0]}; {where}")


def test_a_host_is_lost_and_returns_while_a_study_runs(cluster: Cluster) -> None:
    # One host alone must not be done before the other is back: Ray notices the loss within a minute, and the machine's
    # own pace decides how long the host takes to join. A trial must also last longer than a worker takes to start:
    # Tune gives a trial that waits for one to any worker that becomes free meanwhile.
    trials = 14
    sleep = max(60.0, 1.5 * cluster.seconds)
    folder = cluster.study(
        "spread",
        space="analytic",
        trials=trials,
        max_concurrent_trials=4,  # a gigabyte each
        base={"analytic": {"sleep_seconds": sleep}},
    )
    cluster.tell(f"$ veil sweep --config spread.yaml --address auto: {trials} trials of {sleep:.0f} s")
    with subprocess.Popen(
        cluster.on_head(f"veil sweep --config {SHARED}/spread.yaml --address auto"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as sweep:
        try:
            _lose_and_return(cluster, folder, "node2", sweep)
            printed, _ = sweep.communicate(timeout=3000)
        finally:
            sweep.kill()
    assert sweep.returncode == 0, printed
    records = folder.records()
    assert [record.state for record in records] == ["valid"] * trials
    for number, hosts in sorted(hosts_of(folder).items()):
        cluster.tell(f"  trial {number:2d} on {' then '.join(hosts)}")
    cluster.tell(f"trials finished by host: {dict(Counter(hosts[-1] for hosts in hosts_of(folder).values()))}")
    for point, standing in study_overview(folder.config(), folder).rows:
        if standing == "frontier":
            values = ", ".join(f"{name} {interval.value:.3f}" for name, interval in point.objectives.items())
            cluster.tell(f"  frontier: trial {point.trial:2d}  {values}")
    hypervolume = re.search(r"hypervolume [\d.]+", printed)
    assert hypervolume is not None, printed
    cluster.tell(f"  {hypervolume[0]}")


def _lose_and_return(cluster: Cluster, folder: StudyFolder, lost: str, sweep: subprocess.Popen[str]) -> None:
    def running_on(host: str) -> list[int]:
        ended = {record.number for record in folder.records()}
        return [number for number, hosts in hosts_of(folder).items() if hosts[-1] == host and number not in ended]

    wait_until(lambda: all(running_on(host) for host in WORKERS), 1800, "trials on both hosts")
    interrupted = running_on(lost)
    cluster.hosts[lost].switch_off()
    cluster.tell(f"{lost} is switched off, with trials {interrupted}; running on node1: {running_on('node1')}")
    seconds = cluster.await_hosts({"head", *WORKERS} - {lost}, 600)
    cluster.tell(f"Ray counts {lost} as dead after {seconds:.0f} s")
    before = set(hosts_of(folder))
    cluster.hosts[lost].switch_on()
    cluster.tell(f"{lost} is switched on")
    seconds = cluster.await_hosts({"head", *WORKERS}, 1800)
    cluster.tell(f"{lost} has joined again after {seconds:.0f} s, started by the head over SSH")
    wait_until(
        lambda: (
            sweep.poll() is not None
            or any(hosts[-1] == lost for number, hosts in hosts_of(folder).items() if number not in before)
        ),
        1800,
        f"a new trial on {lost}",
    )
    assert sweep.poll() is None, f"the sweep was over before {lost} took a trial again"
    again = hosts_of(folder)
    assert all(len(again[number]) > 1 for number in interrupted if folder.record(number) is not None)
    for number in interrupted:
        cluster.tell(f"  trial {number} was tried on {' then '.join(again[number])}")


def test_down_stops_ray_on_all_hosts(cluster: Cluster) -> None:
    cluster.from_laptop("ray down --yes ~/cluster.yaml")

    def left(name: str) -> list[str]:
        found = cluster.hosts[name].run(["pgrep", "--list-full", "-f", "raylet/raylet|gcs_server|^ray::"], check=False)
        return found.stdout.splitlines()

    wait_until(lambda: not any(left(name) for name in ADDRESSES), 300, "the end of Ray on all hosts")
    cluster.tell("$ ray down cluster.yaml: no process of Ray is left on any host")
