"""Training of the expression teacher: it learns, resumes exactly, and is the same on two workers as on one."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from gloo_workers import run_workers
from safetensors.torch import load_file

from trainables.fer.faces import LabelledFaces
from trainables.fer_teacher import TeacherConfig, train, train_teacher
from veil.errors import ConfigError, DivergedError
from veil.expression import load_expression_net
from veil.expression.fer_resnet import CARD_FILE, WEIGHTS_FILE
from veil.interfaces import EXPRESSIONS
from veil.registry import trainings
from veil.runtime import LocalLauncher, latest_checkpoint

SHORT = TeacherConfig(images=64, batch_size=8, report_every_images=24, checkpoint_every_images=40)


def drawn_faces(count, seed):
    """Faces whose expression is where a bright bar lies, in noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(EXPRESSIONS), count)
    images = rng.integers(0, 90, (count, 48, 48), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[6 * label + 2 : 6 * label + 7] += 150
    return LabelledFaces(images, np.eye(len(EXPRESSIONS), dtype=np.float32)[labels])


@pytest.fixture(scope="module")
def parts():
    return {"train": drawn_faces(160, 0), "search": drawn_faces(70, 1), "sealed": drawn_faces(70, 2)}


def job(parts, folder, config=SHORT):
    return partial(train, config=config, faces=parts["train"], validation=parts["search"], folder=folder)


def differences(a, b):
    """Absolute difference of every weight of two trainings."""
    a, b = (load_file(folder / "average.safetensors") for folder in (a, b))
    return torch.cat([(a[key] - b[key]).abs().flatten() for key in a])


@pytest.fixture(scope="module")
def short(parts, tmp_path_factory):
    """Folder of a short training, and what it reported."""
    folder, seen = tmp_path_factory.mktemp("short"), {}
    LocalLauncher(lambda metrics, images: seen.update({images: metrics}))(job(parts, folder))
    return folder, seen


@pytest.fixture(scope="module")
def taught(parts, tmp_path_factory):
    """Folder and card of a training that learns."""
    folder = tmp_path_factory.mktemp("taught")
    config = TeacherConfig(
        images=480, batch_size=16, augmentation=0.1, ema_half_life_images=48, report_every_images=480
    )
    return folder, train_teacher(config, parts, LocalLauncher(), folder, {"command": "veil train-teacher"})


def test_learns_what_can_be_learned(taught):
    _, card = taught
    assert card["test"]["accuracy"] > 0.9
    assert card["test"]["macro_f1"] > 0.9
    assert card["test_with_mirrored"]["accuracy"] > 0.9


def test_calibration_lowers_the_error_of_confidence(taught):
    _, card = taught
    # Smoothed labels leave a net less sure than it is right.
    assert card["temperature"] < 1
    assert card["validation"]["ece"] < card["validation"]["ece_uncalibrated"]
    assert card["test"]["ece"] < card["test"]["ece_uncalibrated"]


def test_card_says_what_was_trained_and_how(taught, parts):
    folder, card = taught
    assert json.loads((folder / CARD_FILE).read_text(encoding="utf-8")) == card
    assert card["command"] == "veil train-teacher"
    assert card["classes"] == list(EXPRESSIONS)
    assert card["images"] == {"train": 160, "search": 70, "sealed": 70}
    assert card["sha256"] == {part: faces.sha256 for part, faces in parts.items()}
    assert card["settings"]["seed"] == 0
    confusion = np.array(card["test"]["confusion"])
    np.testing.assert_array_equal(confusion.sum(axis=1), np.bincount(parts["sealed"].labels, minlength=7))
    assert np.trace(confusion) / confusion.sum() == pytest.approx(card["test"]["accuracy"], abs=1e-4)


def test_what_was_measured_is_what_is_loaded(taught, parts):
    folder, card = taught
    net = load_expression_net(f"fer_resnet:{folder}")
    assert net.asset_sha256 == card["weights_sha256"]
    assert net.temperature == card["temperature"]
    grey = torch.from_numpy(parts["sealed"].images[:, None]).float() / 127.5 - 1
    with torch.no_grad():
        read = net.logits(grey).argmax(1).numpy()
    assert np.mean(read == parts["sealed"].labels) == pytest.approx(card["test"]["accuracy"], abs=1e-4)
    assert (folder / WEIGHTS_FILE).stat().st_size < 8e6
    assert latest_checkpoint(folder) is None


def test_a_finished_training_is_measured_again_and_not_run_again(taught, parts):
    folder, card = taught

    def refuse(metrics, images):
        raise AssertionError("trained again")

    config = TeacherConfig.parse(card["settings"], where="card")
    again = train_teacher(config, parts, LocalLauncher(refuse), folder, {"command": "veil train-teacher"})
    assert again == card


def test_a_folder_holds_one_training(taught, parts):
    folder, card = taught
    config = TeacherConfig.parse(card["settings"], where="card")
    with pytest.raises(ConfigError, match=r"holds another training \(settings\.seed: 0 there, 1 now\); choose another"):
        train_teacher(config.model_copy(update={"seed": 1}), parts, LocalLauncher(), folder, {})
    with pytest.raises(ConfigError, match=r"holds another training \(sha256\.train: \w+ there, \w+ now\)"):
        train_teacher(config, parts | {"train": parts["search"]}, LocalLauncher(), folder, {})


def test_reports_loss_and_validates(short):
    _, seen = short
    assert list(seen) == [24, 48, 64]
    assert set(seen[24]) == {"loss/expression", "validation/accuracy"}
    assert 1.5 < seen[24]["loss/expression"] < 3


def test_stopped_and_resumed_is_bitwise_uninterrupted(short, parts, tmp_path):
    LocalLauncher(should_stop=lambda: True)(job(parts, tmp_path))
    assert latest_checkpoint(tmp_path).name.endswith("24")
    assert not (tmp_path / "average.safetensors").exists()
    LocalLauncher()(job(parts, tmp_path))
    assert differences(short[0], tmp_path).max() == 0


@pytest.mark.slow
def test_two_workers_equal_one_at_the_same_global_batch(parts, tmp_path):
    # Adam moves a weight whose gradient is all rounding by its whole learning rate: a small one keeps them in bounds.
    slow = SHORT.model_copy(update={"learning_rate": 5e-5, "ema_half_life_images": 0})
    LocalLauncher()(job(parts, tmp_path / "one", slow))
    LocalLauncher()(job(parts, tmp_path / "other", slow.model_copy(update={"seed": 1})))
    assert run_workers(2, job(parts, tmp_path / "two", slow)) == [0, 0]
    two, other = (differences(tmp_path / "one", tmp_path / name) for name in ("two", "other"))
    assert two.max() < 1e-4
    assert two.mean() < 1e-6
    assert other.mean() > 1e-4, "or the comparison proves nothing"


def test_divergence_says_when(parts, tmp_path):
    mad = SHORT.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(DivergedError, match=r"the loss is (nan|inf) after \d+ images; lower learning_rate"):
        LocalLauncher()(job(parts, tmp_path, mad))


def test_a_batch_that_does_not_divide_is_refused(parts, tmp_path):
    class ThreeWorkers:
        workers = 3

    with pytest.raises(ConfigError, match="batch_size is 8, expected a multiple of the 3 workers"):
        train_teacher(SHORT, parts, ThreeWorkers(), tmp_path, {})


def test_is_found_by_its_name():
    assert trainings.get("fer_teacher").Config is TeacherConfig
