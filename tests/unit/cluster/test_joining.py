"""What a driver brings to a cluster, and what it asks of its nodes."""

import importlib
from pathlib import Path

import pytest
import ray

from veil.cluster.joining import check_nodes_see, driver_packages, join_cluster
from veil.errors import ConfigError


def test_the_driver_brings_veil_and_its_plugins_as_it_imports_them():
    folders = driver_packages()
    for name in ("veil", "trainables", "search_spaces"):
        assert Path(importlib.import_module(name).__file__).resolve().parent in folders
    assert len(folders) == len(set(folders))


def test_what_is_brought_is_given_to_every_worker(monkeypatch):
    asked = {}
    monkeypatch.setattr(ray, "init", lambda **options: asked.update(options))
    join_cluster("10.0.0.1:6379")
    assert asked["address"] == "10.0.0.1:6379"
    assert asked["runtime_env"]["py_modules"] == [str(folder) for folder in driver_packages()]


@pytest.mark.parametrize("error", [ConnectionError("nobody\nthere"), ray.exceptions.AuthenticationError("no token")])
def test_a_cluster_that_cannot_be_joined_is_one_clear_line(monkeypatch, error):
    def refuse(**options):
        raise error

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ConfigError, match="cannot join the Ray cluster at 'auto': no.*--address") as refused:
        join_cluster("auto")
    assert "\n" not in str(refused.value)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_node_that_does_not_see_the_study_is_named(tmp_path):
    (tmp_path / "manifest.json").touch()
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        check_nodes_see(tmp_path / "manifest.json")
        with pytest.raises(
            ConfigError, match=rf"1 of 1 nodes do not see .*other.json \({ray.nodes()[0]['NodeManagerAddress']}\)"
        ):
            check_nodes_see(tmp_path / "other.json")
    finally:
        ray.shutdown()
