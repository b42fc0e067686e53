"""Checkpoints: exact, complete or absent, never pickled."""

import json

import pytest
import torch
from torch import nn

from veil.errors import DataError
from veil.runtime import (
    latest_checkpoint,
    load_checkpoint,
    load_weights,
    remove_checkpoints,
    save_checkpoint,
    save_weights,
)


def build(seed):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 8), nn.GroupNorm(2, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    return net, torch.optim.Adam(net.parameters(), 1e-2)


def advance(net, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(5, 4)).square().mean().backward()
        optimizer.step()


def test_resumed_training_is_bitwise_the_uninterrupted_one(tmp_path):
    net, optimizer = build(0)
    advance(net, optimizer, 3)
    save_checkpoint(tmp_path, 15, {"net": net}, {"adam": optimizer}, {"note": [1, 2]})
    advance(net, optimizer, 3)

    other, other_optimizer = build(99)
    images_seen, extra = load_checkpoint(latest_checkpoint(tmp_path), {"net": other}, {"adam": other_optimizer})
    advance(other, other_optimizer, 3)

    assert (images_seen, extra) == (15, {"note": [1, 2]})
    for value, expected in zip(other.parameters(), net.parameters(), strict=True):
        assert torch.equal(value, expected)


def test_only_the_last_complete_checkpoint_stays(tmp_path):
    net, _optimizer = build(0)
    assert latest_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, 900, {"net": net}, {})
    save_checkpoint(tmp_path, 1000, {"net": net}, {})
    (tmp_path / ".checkpoint-000000002000.1").mkdir()  # what a worker killed while writing leaves behind
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["checkpoint-000000001000"]
    assert latest_checkpoint(tmp_path).name == "checkpoint-000000001000"
    assert {path.suffix for path in latest_checkpoint(tmp_path).iterdir()} == {".safetensors", ".json"}
    remove_checkpoints(tmp_path)
    assert latest_checkpoint(tmp_path) is None


def test_saving_twice_at_the_same_progress_replaces(tmp_path):
    net, _ = build(0)
    save_checkpoint(tmp_path, 10, {"net": net}, {})
    with torch.no_grad():
        net[0].bias.fill_(7.0)
    save_checkpoint(tmp_path, 10, {"net": net}, {})
    other, _ = build(1)
    load_checkpoint(latest_checkpoint(tmp_path), {"net": other}, {})
    assert (other[0].bias == 7).all()


@pytest.mark.parametrize("damage", ["state.safetensors", "state.json"])
def test_damaged_checkpoint_is_an_error_that_names_it(tmp_path, damage):
    net, _ = build(0)
    checkpoint = save_checkpoint(tmp_path, 10, {"net": net}, {})
    file = checkpoint / damage
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError, match="checkpoint-000000000010"):
        load_checkpoint(checkpoint, {"net": net}, {})


def test_checkpoint_of_another_architecture_is_refused(tmp_path):
    net, optimizer = build(0)
    checkpoint = save_checkpoint(tmp_path, 10, {"net": net}, {})
    with pytest.raises(DataError, match="another architecture"):
        load_checkpoint(checkpoint, {"net": nn.Linear(4, 9)}, {})
    with pytest.raises(DataError, match="no optimizer 'adam'"):
        load_checkpoint(checkpoint, {"net": net}, {"adam": optimizer})


def test_weights_round_trip_and_missing_file(tmp_path):
    net, _ = build(0)
    other, _ = build(1)
    save_weights(tmp_path / "deep" / "net.safetensors", net)
    load_weights(tmp_path / "deep" / "net.safetensors", other)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    with pytest.raises(DataError, match="absent.safetensors"):
        load_weights(tmp_path / "absent.safetensors", net)


def test_state_is_readable_json(tmp_path):
    net, optimizer = build(0)
    advance(net, optimizer, 1)
    values = json.loads((save_checkpoint(tmp_path, 5, {"net": net}, {"adam": optimizer}) / "state.json").read_text())
    assert values["images_seen"] == 5
    assert values["optimizers"]["adam"]["param_groups"][0]["lr"] == 1e-2
