"""Outputs on the originals are computed once per table and net."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from veil.errors import DataError
from veil.faces.cache import cached_outputs
from veil.faces.contract import CropContract
from veil.faces.table import FaceRow, FaceTable


class Net:
    """Channel means, and a count of calls."""

    def __init__(self) -> None:
        self.images = 0

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        self.images += len(images)
        return images.mean(dim=(2, 3))


@pytest.fixture
def table(rows: list[FaceRow], contract: CropContract) -> FaceTable:
    return FaceTable.from_rows(rows, contract)


def test_second_call_reads_the_file(table: FaceTable, tmp_path: Path) -> None:
    net = Net()
    first = cached_outputs(table, "insightface:a/b.onnx", "f" * 64, net, tmp_path / "cache")
    np.testing.assert_allclose(first, table.images.mean(dim=(2, 3)), atol=1e-6)
    second = cached_outputs(table, "insightface:a/b.onnx", "f" * 64, net, tmp_path / "cache")
    assert net.images == len(table)
    assert isinstance(second, np.memmap)
    np.testing.assert_array_equal(first, second)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_key_covers_data_and_net(table: FaceTable, rows: list[FaceRow], contract: CropContract, tmp_path: Path) -> None:
    net = Net()
    for name, sha in (("a", "1" * 64), ("b", "1" * 64), ("b", "2" * 64)):
        cached_outputs(table, name, sha, net, tmp_path)
    other = FaceTable.from_rows([replace(rows[0], split="search"), *rows[1:]], contract)
    cached_outputs(other, "b", "2" * 64, net, tmp_path)
    cached_outputs(table.split("search"), "b", "2" * 64, net, tmp_path)
    assert net.images == 4 * 5 + 3
    assert len(list(tmp_path.iterdir())) == 5


def test_outputs_that_are_not_finite_are_refused(table: FaceTable, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="finite"):
        cached_outputs(table, "a", "1" * 64, lambda images: images.mean(dim=(2, 3)) * float("nan"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_damaged_file_is_named(table: FaceTable, tmp_path: Path) -> None:
    cached_outputs(table, "a", "1" * 64, Net(), tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"half")
    with pytest.raises(DataError, match="delete it"):
        cached_outputs(table, "a", "1" * 64, Net(), tmp_path)
