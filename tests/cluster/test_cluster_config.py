"""The cluster files pass Ray's own validation, and keep the promises that their comments make."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

pytestmark = pytest.mark.cluster

REPOSITORY = Path(__file__).parents[2]
ON_PREMISE = REPOSITORY / "platform" / "cluster" / "on-premise.yaml"
DOCKERFILE = (REPOSITORY / "platform" / "cluster" / "Dockerfile").read_text(encoding="utf-8")
GPU_TYPES = ("l4", "a10g", "t4")


@pytest.fixture(scope="module")
def written():
    return yaml.safe_load((REPOSITORY / "cluster.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def filled(written):
    """The configuration as `ray up` completes and validates it."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(written)
    validate_config(config)
    return config


@pytest.fixture(scope="module")
def on_premise():
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load(ON_PREMISE.read_text(encoding="utf-8")))
    validate_config(config)
    return config


@pytest.fixture(scope="module")
def pins():
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def test_ray_accepts_the_file_and_its_defaults(filled):
    assert set(filled["available_node_types"]) == {"head", *GPU_TYPES}, "Ray's default node types must not be merged in"
    assert filled["available_node_types"]["head"]["max_workers"] == 0


def test_ray_refuses_a_misspelt_key(written):
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        validate_config(prepare_config(written | {"max_worker": 3}))


@pytest.mark.parametrize("name", GPU_TYPES)
def test_workers_are_spot_bounded_and_vanish_when_idle(filled, name):
    worker = filled["available_node_types"][name]
    assert worker["min_workers"] == 0
    assert 0 < worker["max_workers"] <= filled["max_workers"]
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert worker["resources"]["GPU"] == 1
    assert 0 < filled["idle_timeout_minutes"] <= 30


def test_gpu_nodes_are_of_different_instance_types(filled):
    types = {filled["available_node_types"][name]["node_config"]["InstanceType"] for name in GPU_TYPES}
    assert len(types) == len(GPU_TYPES)


def test_stopping_the_cluster_keeps_the_heads_disk_and_ends_spot_nodes(filled):
    """Ray stops on-demand nodes, whose disks stay, and terminates spot nodes, if it may keep stopped nodes."""
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    stopped, terminated = [], []

    class Client:
        class meta:  # noqa: N801
            class client:  # noqa: N801
                stop_instances = staticmethod(lambda InstanceIds: stopped.extend(InstanceIds))
                terminate_instances = staticmethod(lambda InstanceIds: terminated.extend(InstanceIds))

    class Node:
        def __init__(self, spot):
            self.spot_instance_request_id = spot

    provider = AWSNodeProvider.__new__(AWSNodeProvider)
    provider.cache_stopped_nodes = filled["provider"]["cache_stopped_nodes"]
    provider.ec2, provider.max_terminate_nodes = Client, 1000
    provider.cached_nodes = {"head": Node(None), "worker": Node("sir-1")}
    provider.terminate_nodes(["head", "worker"])
    assert (stopped, terminated) == (["head"], ["worker"])
    disks = filled["available_node_types"]["head"]["node_config"]["BlockDeviceMappings"]
    assert [disk["Ebs"].get("DeleteOnTermination", True) for disk in disks] == [True, False]


def test_head_is_on_demand_and_offers_no_gpu(filled):
    head = filled["available_node_types"][filled["head_node_type"]]
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["resources"]["GPU"] == 0
    assert "--num-gpus=0" in filled["head_start_ray_commands"][-1]
    assert "--gpus" not in " ".join(filled["docker"].get("head_run_options", []) + filled["docker"]["run_options"])


def test_the_image_is_pinned_and_built_from_the_tested_ray(filled, pins):
    base = re.search(r"^FROM rayproject/ray:([\d.]+)-py(\d)(\d+)-gpu$", DOCKERFILE, flags=re.MULTILINE)
    assert base is not None, "the base image is not pinned"
    assert base[1] == pins["ray"] and (int(base[2]), int(base[3])) >= (3, 11)
    image = filled["docker"]["image"]
    assert re.fullmatch(rf"veil:[\d.]+-ray{re.escape(pins['ray'])}", image)
    assert f"-t {image} ." in DOCKERFILE, "the comment builds another image"
    assert not {"head_image", "worker_image"} & filled["docker"].keys(), "all nodes run one image"
    assert filled["docker"]["pull_before_run"] is False, "no registry is asked for an image that the head builds"


def test_the_head_builds_the_image_and_workers_load_what_it_built(filled):
    image = filled["docker"]["image"]
    (build,) = [command for command in filled["initialization_commands"] if "docker build" in command]
    assert "platform/cluster/Dockerfile" in build and f"-t {image} " in build
    assert any(
        "docker save" in command and "/srv/veil/image" in command for command in filled["initialization_commands"]
    )
    for name in GPU_TYPES:
        commands = filled["available_node_types"][name]["initialization_commands"]
        mounts = next(i for i, command in enumerate(commands) if "$RAY_HEAD_IP:/srv/veil" in command)
        loads = next(i for i, command in enumerate(commands) if "docker load" in command)
        assert mounts < loads and image in commands[loads]


def test_the_image_holds_the_pinned_versions_of_everything(pins):
    installs = [line for line in DOCKERFILE.replace("\\\n", " ").splitlines() if "pip install" in line]
    assert len(installs) == 2
    assert "-c constraints.txt -r requirements.txt" in installs[0] and "--no-deps" in installs[1]
    copied = set(
        re.findall(r"^COPY .*?((?:[\w./]+ )+)", DOCKERFILE.replace("--chown=ray:users ", ""), flags=re.MULTILINE)
    )
    sources = {word for words in copied for word in words.split()}
    for source in sources:
        assert (REPOSITORY / source).exists(), source
    assert {"constraints.txt", "pyproject.toml", "platform/veil", "trainables", "search_spaces"} <= sources


def test_workers_depend_on_no_file_mount(filled):
    for command in (*filled["worker_setup_commands"], *filled["worker_start_ray_commands"]):
        assert "~/" not in command, "file mounts have been seen to miss late nodes"
    assert filled["worker_setup_commands"][0] == "test -s /srv/veil/auth_token"


def test_machines_of_ones_own_get_code_and_pins_or_fail(on_premise):
    for commands in (on_premise["head_setup_commands"], on_premise["worker_setup_commands"]):
        guard = next(i for i, command in enumerate(commands) if command.startswith("test -s"))
        install = next(i for i, command in enumerate(commands) if "-c ~/veil/constraints.txt" in command)
        assert guard < install, "a node without its files must fail before it installs"
    assert on_premise["initialization_commands"] == ["test -w /srv/veil"]
    assert on_premise["file_mounts"]["~/veil"] == "."
    assert {".venv/", "studies/"} <= set(on_premise["rsync_exclude"])


@pytest.mark.parametrize("file", ["cluster.yaml", "platform/cluster/on-premise.yaml"])
def test_databases_lie_on_the_shared_storage_and_servers_on_loopback(file):
    written = yaml.safe_load((REPOSITORY / file).read_text(encoding="utf-8"))
    settings = written["metadata"]["veil"]
    (mlflow,) = [command for command in written["head_start_ray_commands"] if "mlflow server" in command]
    assert f"--host 127.0.0.1 --port {settings['tunnels']['mlflow']} " in mlflow
    assert f"sqlite:///{settings['storage']}/mlflow.db" in mlflow
    assert f"--artifacts-destination {settings['storage']}/mlartifacts" in mlflow
    text = str(written["docker"]["run_options"] if "docker" in written else written["setup_commands"])
    assert f"VEIL_CACHE={settings['storage']}/cache" in text
    assert all("0.0.0.0" not in command for command in written["head_start_ray_commands"])
    (head,) = [command for command in written["head_start_ray_commands"] if "ray start --head" in command]
    assert "--dashboard-host=127.0.0.1" in head and "--num-cpus=0 --num-gpus=0" in head


def test_token_authentication_is_on_and_no_secret_is_in_the_file(filled):
    assert "--env RAY_AUTH_MODE=token" in filled["docker"]["run_options"]
    assert "--env RAY_AUTH_TOKEN_PATH=/srv/veil/auth_token" in filled["docker"]["run_options"]
    assert filled["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    text = (REPOSITORY / "cluster.yaml").read_text(encoding="utf-8") + ON_PREMISE.read_text(encoding="utf-8")
    assert not re.search(r"RAY_AUTH_TOKEN\b|AKIA[0-9A-Z]{16}|aws_secret", text)


def test_machines_of_ones_own_ask_for_the_token(on_premise):
    for commands in (on_premise["head_setup_commands"], on_premise["worker_setup_commands"]):
        assert "RAY_AUTH_MODE=token" in commands[-1] and "~/.bashrc" in commands[-1]
    assert on_premise["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_only_ssh_is_open_to_the_world(filled):
    from ray.autoscaler._private.aws.config import _create_default_inbound_rules

    rules = _create_default_inbound_rules(["sg-1"], filled["provider"]["security_group"].get("IpPermissions", []))
    public = [rule for rule in rules if rule.get("IpRanges")]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in public] == [(22, 22)], "AWS refuses a rule given twice"


def test_shared_memory_is_large_enough_for_loaders(filled):
    (option,) = [option for option in filled["docker"]["run_options"] if option.startswith("--shm-size=")]
    assert int(option.removeprefix("--shm-size=").removesuffix("gb")) >= 8


def test_nothing_is_left_to_fill_in():
    text = (REPOSITORY / "cluster.yaml").read_text(encoding="utf-8")
    assert not re.search(r"<[A-Za-z_ ]+>|YOUR_|example\.com|CHANGE_?ME|ami-0+\b", text)


def test_python_of_the_image_satisfies_the_package():
    major, minor = re.search(r"-py(\d)(\d+)-", DOCKERFILE).groups()
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert Requirement(f"python{project['requires-python']}").specifier.contains(f"{major}.{minor}")
    assert Requirement(f"python{project['requires-python']}").specifier.contains(
        ".".join(map(str, sys.version_info[:2]))
    )
