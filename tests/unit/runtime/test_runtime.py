"""Runtime and launcher: what a loop may rely on."""

import ast
from pathlib import Path

import pytest
import torch
from torch import nn

import veil.runtime
from veil.errors import ConfigError
from veil.runtime import ExponentialMovingAverage, Launcher, LocalLauncher, Runtime


def test_runtime_never_imports_ray():
    for path in Path(veil.runtime.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "ray" for name in names), path


def test_alone_nothing_is_wrapped():
    net = nn.Linear(2, 2)
    runtime = Runtime()
    assert runtime.wrap(net) is net
    assert runtime.compiled(net) is net
    assert runtime.is_main


def test_local_launcher_passes_reports_and_the_wish_to_stop():
    seen = []

    def train(runtime):
        runtime.log({"loss": 1.0}, 40)
        runtime.quiet().log({"loss": 2.0}, 80)
        assert runtime.agree_to_stop()

    launcher: Launcher = LocalLauncher(lambda metrics, images: seen.append((metrics, images)), should_stop=lambda: True)
    launcher(train)
    assert launcher.workers == 1
    assert seen == [({"loss": 1.0}, 40)]


def test_an_error_in_training_reaches_the_caller():
    def train(runtime):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        LocalLauncher()(train)


@pytest.mark.parametrize(("rank", "world_size"), [(1, 1), (-1, 2), (0, 0)])
def test_impossible_rank(rank, world_size):
    with pytest.raises(ConfigError, match="rank"):
        Runtime(rank, world_size)


def test_float16_is_refused():
    with pytest.raises(ConfigError, match="bfloat16"):
        Runtime(autocast_dtype=torch.float16)


def test_autocast_computes_in_the_asked_dtype():
    net = nn.Linear(8, 8)
    with Runtime(autocast_dtype=torch.bfloat16).autocast():
        assert net(torch.randn(2, 8)).dtype is torch.bfloat16
    with Runtime().autocast():
        assert net(torch.randn(2, 8)).dtype is torch.float32


def test_means_of_one_worker_are_its_own():
    assert Runtime().mean({"a": torch.tensor(1.5), "b": torch.tensor(2.0)}) == {"a": 1.5, "b": 2.0}
    assert Runtime().mean({}) == {}


def test_ema_halves_the_distance_after_its_half_life_in_any_batch_size():
    for batch in (1, 5, 100):
        net = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(net.weight)
        ema = ExponentialMovingAverage(net, half_life_images=100)
        nn.init.ones_(net.weight)
        for _ in range(100 // batch):
            ema.update(net, batch)
        assert ema.net.weight.item() == pytest.approx(0.5, abs=1e-5)


def test_ema_without_half_life_follows_at_once_and_never_trains():
    net = nn.Linear(1, 1)
    ema = ExponentialMovingAverage(net, 0)
    nn.init.constant_(net.weight, 3.0)
    ema.update(net, 1)
    assert ema.net.weight.item() == 3.0
    assert not any(weight.requires_grad for weight in ema.net.parameters())
    with pytest.raises(ValueError, match="half_life_images"):
        ExponentialMovingAverage(net, -1)
