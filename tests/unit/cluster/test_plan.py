"""What the dry run promises: where things lie, what fits, and commands that a shell understands."""

import re
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from veil.cluster.definition import ClusterDefinition, ClusterSettings, NodeType, read_cluster
from veil.cluster.plan import nodes_for_trials, path_on_head, print_plan, study_on_cluster
from veil.config import StudyConfig
from veil.errors import ConfigError

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def cluster():
    return ClusterDefinition(
        path=Path("lab.yaml"),
        name="lab",
        provider="aws",
        user="me",
        head_address=None,
        nodes=(
            NodeType("head", "1", "small", {"CPU": 0}, "image"),
            NodeType("plain", "0 to 4", "large", {"CPU": 16}, "image"),
            NodeType("gpu", "0 to 2", "huge", {"CPU": 8, "GPU": 1}, "image"),
        ),
        max_workers=4,
        idle_minutes=10.0,
        settings=ClusterSettings(storage="/shared", tunnels={"dashboard": 8265, "mlflow": 5001}),
    )


def study(**search):
    return StudyConfig.parse({"study": "mine", "search": search}, where="test")


def printed(cluster, config, source=("--config", "mine.yaml")):
    console = Console(width=200, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    print_plan(cluster, config, list(source), console)
    return console.export_text()


def test_a_study_goes_to_the_shared_storage_and_the_server_of_the_head(cluster):
    config, changed = study_on_cluster(cluster, study())
    assert config.folder == Path("/shared/studies/mine") and config.tracking.uri == "http://127.0.0.1:5001"
    assert changed == ["root=/shared/studies", "tracking.uri=http://127.0.0.1:5001"]
    assert study_on_cluster(cluster, config) == (config, [])


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ({}, ["plain", "gpu"]),
        ({"cpus_per_trial": 16}, ["plain"]),
        ({"gpus_per_trial": 0.5}, ["gpu"]),
        ({"cpus_per_trial": 8, "gpus_per_trial": 1, "workers_per_trial": 3}, ["gpu"]),
    ],
)
def test_only_nodes_that_hold_a_trial_fit(cluster, search, names):
    assert [node.name for node in nodes_for_trials(cluster, study(**search))] == names


@pytest.mark.parametrize(
    "search", [{"cpus_per_trial": 17}, {"gpus_per_trial": 2}, {"cpus_per_trial": 9, "gpus_per_trial": 1}]
)
def test_a_trial_that_no_node_can_hold_is_refused(cluster, search):
    with pytest.raises(ConfigError, match="search.cpus_per_trial"):
        nodes_for_trials(cluster, study(**search))


def test_the_dry_run_names_nodes_places_and_commands(cluster):
    text = printed(cluster, study())
    for line in (
        r"Nothing was started",
        r"gpu +0 to 2 +huge +8 CPU, 1 GPU",
        r"Optuna's journal +/shared/studies/mine/optuna.log",
        r"MLflow +http://127.0.0.1:5001 on the head; /shared/mlflow.db",
        r"faces and weights +/shared/cache",
        r"ray up lab.yaml",
        r"ray attach lab.yaml -p 8265 -p 5001",
        r"ray exec lab.yaml 'veil status mine --root /shared/studies'",
        r"ray exec lab.yaml 'veil resume mine --root /shared/studies --address auto' --tmux",
        r"ray rsync-down lab.yaml /shared/studies/mine/frontier.html mine.html",
        r"8265  dashboard, which asks for the token in ",
        r"a trial of study 'mine' fits plain, gpu",
        r"ray down lab.yaml",
    ):
        assert re.search(line, text), line


def test_both_ways_to_sweep_run_the_same_study(cluster):
    lines = [line.strip() for line in printed(cluster, study()).splitlines()]
    head = shlex.split(next(line for line in lines if line.startswith("ray exec")))
    outside = shlex.split(next(line for line in lines if "ray job submit" in line))
    sweep = "veil sweep --config mine.yaml --set root=/shared/studies --set tracking.uri=http://127.0.0.1:5001"
    assert head[3] == f"cd ~/veil && {sweep} --address auto"
    assert " ".join(outside[outside.index("--") + 1 :]) == f"env PYTHONPATH=platform:. {sweep} --address auto"


def test_a_study_file_must_be_where_the_head_finds_it(cluster, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for file in ("mine.yaml", here / "mine.yaml", "../here/mine.yaml"):
        assert path_on_head(Path(file), cluster) == Path("mine.yaml")
    assert path_on_head(Path("/shared/mine.yaml"), cluster) == Path("/shared/mine.yaml")
    with pytest.raises(ConfigError, match="copy the file into this folder"):
        path_on_head(Path("../mine.yaml"), cluster)


def test_the_tunnel_to_a_known_head_is_plain_ssh():
    text = printed(read_cluster(REPOSITORY / "platform" / "cluster" / "on-premise.yaml"), study())
    assert "ssh -N -L 8265:127.0.0.1:8265 -L 5000:127.0.0.1:5000 veil@192.168.1.10" in text
    assert "a trial of study 'mine' needs 1 CPUs and 0 GPUs of one machine" in text, "nobody has asked the machines"
    assert "worker  2         192.168.1.11, 192.168.1.12" in text


@pytest.mark.parametrize("page", ["README.md", "platform/docs/cluster.md"])
def test_the_pages_show_the_sweep_that_the_dry_run_prints(page, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    text = printed(read_cluster(Path("cluster.yaml")), study(), ("--config", "study.yaml"))
    (sweep,) = [line.strip() for line in text.splitlines() if "veil sweep" in line and "ray exec" in line]
    assert sweep in (REPOSITORY / page).read_text(encoding="utf-8")
