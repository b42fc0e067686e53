"""`veil train-teacher` from the command line to a teacher that studies can use."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from veil.cli import app
from veil.errors import ConfigError, DataError
from veil.expression import load_expression_net
from veil.expression.fer_resnet import CARD_FILE
from veil.interfaces import EXPRESSIONS


@pytest.fixture(scope="module")
def fer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FER-2013 in folders, with two faces of noise of each expression in every part."""
    root, rng = tmp_path_factory.mktemp("fer2013"), np.random.default_rng(0)
    for part in ("train", "validation", "test"):
        for expression in EXPRESSIONS:
            folder = root / part / expression
            folder.mkdir(parents=True)
            for number in range(2):
                cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 256, (48, 48), dtype=np.uint8))
    return root


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["train-teacher", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_trains_prints_the_card_and_leaves_a_teacher(
    fer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/veil", "train-teacher", "--root", "fer2013.zip"])
    out = tmp_path / "mine"
    arguments = ("--root", fer, "--out", out, "--device", "cpu", "--precision", "bfloat16")
    printed = run(*arguments, "--set", "images=16", "--set", "batch_size=8")
    card = json.loads((out / CARD_FILE).read_text(encoding="utf-8"))
    assert card["dataset"]["name"] == "fer2013" and card["dataset"]["licence"]
    assert card["precision"] == "bfloat16" and card["workers"] == 1
    assert card["versions"]["torch"] and card["hardware"].endswith("CPU cores")
    assert card["command"] == "veil train-teacher --root fer2013.zip"
    assert card["images"] == {"train": 14, "search": 14, "sealed": 14}
    for part in ("macro-F1", "ECE uncalibrated", "test, with mirror images", "roles.teacher=fer_resnet:", "disgust"):
        assert part in printed
    progress = [json.loads(line) for line in (out / "progress.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["images_seen"] for line in progress] == [16]
    assert load_expression_net(f"fer_resnet:{out}").temperature == card["temperature"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--set", "image=3"), ConfigError, "unknown setting 'image'; did you mean 'images'"),
        (("--dataset", "fer2014"), ConfigError, "did you mean 'fer2013'"),
        (("--set", "labels=votes"), DataError, "has no votes; set labels=hard, or take a dataset that has votes"),
        (("--workers", "999"), ConfigError, "999 workers need as many CPU cores"),
    ],
)
def test_what_cannot_be_done_is_refused_before_training(
    fer: Path, tmp_path: Path, arguments: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run("--root", fer, "--out", tmp_path, "--device", "cpu", *arguments)


def test_cuda_without_a_gpu_is_refused(fer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="--device cuda: PyTorch sees no GPU"):
        run("--root", fer, "--out", tmp_path, "--device", "cuda")
