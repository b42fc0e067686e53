"""The file of a cluster is refused where Ray would refuse it, and read as Ray would read it."""

from pathlib import Path

import pytest
import yaml

from veil.cluster.definition import read_cluster
from veil.errors import ConfigError

REPOSITORY = Path(__file__).parents[3]
RENTED = REPOSITORY / "cluster.yaml"
OWN = REPOSITORY / "platform" / "cluster" / "on-premise.yaml"


@pytest.fixture
def changed(tmp_path):
    """Writes a file of the repository with some settings changed, and returns its path."""

    def write(source: Path, **settings: object) -> Path:
        path = tmp_path / "changed.yaml"
        values = yaml.safe_load(source.read_text(encoding="utf-8")) | settings
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    return write


def test_rented_machines_are_read_as_the_launcher_fills_them_out():
    cluster = read_cluster(RENTED)
    assert (cluster.name, cluster.provider, cluster.head_address) == ("veil", "aws", None)
    head, *workers = cluster.nodes
    assert (head.name, head.count, head.machine) == ("head", "1", "m6i.xlarge, on demand")
    assert {worker.name for worker in workers} == {"l4", "a10g", "t4"}
    assert all(worker.count == "0 to 8" and worker.machine.endswith(", spot") for worker in workers)
    assert all(worker.resources == {"CPU": 8, "GPU": 1} for worker in workers)
    assert {node.image for node in cluster.nodes} == {"veil:0.1.0-ray2.60.0"}
    assert cluster.settings.storage == Path("/srv/veil")


def test_machines_of_ones_own_are_listed_by_address():
    cluster = read_cluster(OWN)
    assert (cluster.provider, cluster.head_address, cluster.user) == ("local", "192.168.1.10", "veil")
    head, workers = cluster.nodes
    assert (head.machine, workers.machine, workers.count) == ("192.168.1.10", "192.168.1.11, 192.168.1.12", "2")
    assert workers.resources is None and workers.image is None


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"max_worker": 3}, "did you mean 'max_workers'"),
        ({"max_workers": "many"}, "setting 'max_workers'.*'many' is not of type 'integer'"),
        ({"idle_timeout_minutes": -1}, "idle_timeout_minutes"),
        ({"provider": {"type": "asw"}}, "did you mean 'aws'"),
        ({"provider": "local"}, "setting 'provider': 'local' is not of type 'object'"),
        ({"provider": {"type": "local"}}, "Ray refuses it"),
        ({"setup_commands": None}, "setting 'setup_commands'.*None is not of type 'array'"),
        ({"available_node_types": {"head": None}}, "available_node_types.head.*is not of type 'object'"),
        ({"docker": {"imag": "veil"}}, "did you mean 'image'"),
        ({"docker": {"image": "veil"}}, "container & image name"),
        ({"head_node_type": "boss"}, "`head_node_type` must be one of"),
        ({"metadata": None}, "'metadata.veil' is missing"),
        ({"metadata": {"veil": {"storag": "/srv"}}}, "did you mean 'storage'"),
        ({"metadata": {"veil": {"storage": "/srv", "tunnels": {"mlflow": "x"}}}}, "tunnels.mlflow"),
    ],
)
def test_a_wrong_file_is_refused_by_name_of_the_setting(changed, settings, complaint):
    path = changed(RENTED, **settings)
    with pytest.raises(ConfigError, match=complaint) as refused:
        read_cluster(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_files_that_hold_no_settings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_cluster(tmp_path / "none.yaml")
    for text in ("a: [", "- a"):
        (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match="not valid YAML|found list"):
            read_cluster(tmp_path / "bad.yaml")
