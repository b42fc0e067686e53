"""cluster.yaml passes Ray's own validation, and keeps the promises that its comments make."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

pytestmark = pytest.mark.cluster

REPOSITORY = Path(__file__).parents[2]


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
def pins():
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def test_ray_accepts_the_file_and_its_defaults(filled):
    assert set(filled["available_node_types"]) == {"head", "gpu"}, "Ray's default node types must not be merged in"
    assert filled["available_node_types"]["head"]["max_workers"] == 0


def test_ray_refuses_a_misspelt_key(written):
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        validate_config(prepare_config(written | {"max_worker": 3}))


def test_workers_are_spot_bounded_and_vanish_when_idle(filled):
    worker = filled["available_node_types"]["gpu"]
    assert worker["min_workers"] == 0
    assert 0 < worker["max_workers"] <= filled["max_workers"]
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert worker["resources"]["GPU"] == 1
    assert 0 < filled["idle_timeout_minutes"] <= 30
    assert filled["provider"]["cache_stopped_nodes"] is False


def test_head_is_on_demand_and_offers_no_gpu(filled):
    head = filled["available_node_types"][filled["head_node_type"]]
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["resources"]["GPU"] == 0
    assert "--num-gpus=0" in filled["head_start_ray_commands"][-1]
    assert "--gpus" not in " ".join(filled["docker"].get("head_run_options", []) + filled["docker"]["run_options"])


def test_images_are_pinned_to_the_tested_ray(filled, pins):
    for image in (filled["docker"]["image"], filled["docker"]["head_image"]):
        tag = re.fullmatch(r"rayproject/ray:([\d.]+)-py(\d)(\d+)-(cpu|gpu)", image)
        assert tag is not None, f"{image} is not pinned"
        assert tag[1] == pins["ray"]
        assert (int(tag[2]), int(tag[3])) >= (3, 11)


def test_every_node_gets_the_same_code_and_pins(filled):
    install = "python -m pip install --quiet -c ~/veil/constraints.txt -e ~/veil"
    for commands in (filled["head_setup_commands"], filled["worker_setup_commands"]):
        guard = next(i for i, command in enumerate(commands) if command.startswith("test -s"))
        assert guard < commands.index(install), "a node without its files must fail before it installs"
    assert filled["file_mounts"]["~/veil"] == "."
    assert {".venv/", "studies/"} <= set(filled["rsync_exclude"])


def test_token_authentication_is_on_and_no_secret_is_in_the_file(filled):
    assert "--env RAY_AUTH_MODE=token" in filled["docker"]["run_options"]
    assert filled["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    text = (REPOSITORY / "cluster.yaml").read_text(encoding="utf-8")
    assert not re.search(r"RAY_AUTH_TOKEN\b|AKIA[0-9A-Z]{16}|aws_secret", text)


def test_dashboard_listens_on_loopback(filled):
    start = filled["head_start_ray_commands"][-1]
    assert "--dashboard-host=127.0.0.1" in start
    assert "0.0.0.0" not in start


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


def test_python_of_the_image_satisfies_the_package(filled):
    major, minor = re.search(r"-py(\d)(\d+)-", filled["docker"]["image"]).groups()
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert Requirement(f"python{project['requires-python']}").specifier.contains(f"{major}.{minor}")
    assert Requirement(f"python{project['requires-python']}").specifier.contains(
        ".".join(map(str, sys.version_info[:2]))
    )
