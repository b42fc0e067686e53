"""The teacher's net and the window through which it looks at a crop."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from veil.config import RoleConfig
from veil.errors import AssetError, ConfigError, ProtocolError
from veil.expression import expression_net_sha256, load_expression_net
from veil.expression.fer_resnet import CARD_FILE, INPUT_SIZE, SHIPPED, WEIGHTS_FILE, ExpressionResNet, FerResNet
from veil.faces.align import align_face
from veil.faces.images import decode_image
from veil.interfaces import CROP_SIZE, EXPRESSIONS
from veil.recognizers.roles import check_roles
from veil.registry import datasets
from veil.runtime import save_weights

# YuNet's median alignment of FER-2013: crop pixels per pixel of the frame, and the crop's place of the frame's middle.
SCALE, MIDDLE = 101.86 / 48, np.array([4.66, 12.83]) + 101.86 / 2


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(0)
    return ExpressionResNet().standardise()


@pytest.fixture
def teacher(tmp_path, untrained):
    """Folder as `veil train-teacher` leaves it."""
    torch.manual_seed(1)
    save_weights(tmp_path / WEIGHTS_FILE, ExpressionResNet().half())
    (tmp_path / CARD_FILE).write_text(json.dumps({"temperature": 2.0}))
    return tmp_path


@torch.no_grad()
def test_variance_grows_by_the_branches_alone(untrained):
    variance = 1.0
    for block in untrained.blocks:
        # Neighbours are alike, as in photographs: a shortcut that pools them loses nothing.
        noise = torch.randn(8, block.conv1.in_channels, 12, 12).repeat_interleave(2, 2).repeat_interleave(2, 3)
        inside = block(noise * math.sqrt(variance))[:, :, 1:-1, 1:-1]
        variance = (1.0 if block.halve else variance) + 0.2**2
        assert inside.var().item() == pytest.approx(variance, rel=0.05)


@torch.no_grad()
def test_folding_keeps_the_outputs():
    torch.manual_seed(2)
    net = ExpressionResNet().standardise()
    for name, parameter in net.named_parameters():
        if name.endswith("gain"):
            parameter.mul_(torch.empty_like(parameter).uniform_(0.5, 2))
    faces = torch.randn(3, 1, INPUT_SIZE, INPUT_SIZE)
    before = net(faces)
    assert set(net.fold().state_dict()) == set(ExpressionResNet().state_dict())
    torch.testing.assert_close(net(faces), before)
    assert before.std() > 1e-3


def test_standardised_weights_have_mean_0_and_variance_1_over_fan_in(untrained):
    weight = untrained.blocks[2].conv1.weight.detach()
    torch.testing.assert_close(weight.mean(dim=(1, 2, 3)), torch.zeros(len(weight)), atol=1e-6, rtol=0)
    expected = torch.full((len(weight),), 1 / weight[0].numel())
    torch.testing.assert_close(weight.var(dim=(1, 2, 3), unbiased=False), expected, rtol=1e-3, atol=0)


def test_window_gives_back_the_frame_that_was_aligned():
    x, y = np.meshgrid(np.arange(48.0), np.arange(48.0))
    # Bilinear sampling and a symmetric blur keep a plane as it is.
    frame = 20 + 3 * x + 1.5 * y
    aligned = np.array([[SCALE, 0, MIDDLE[0] - 23.5 * SCALE], [0, SCALE, MIDDLE[1] - 23.5 * SCALE]])
    crop = align_face(np.repeat(np.round(frame).astype(np.uint8)[..., None], 3, axis=-1), aligned)
    seen = FerResNet().grey(torch.from_numpy(crop)[None].float() / 127.5 - 1)[0, 0].numpy()
    assert seen.shape == (INPUT_SIZE, INPUT_SIZE)
    # The frame reaches below the crop, whose last row is repeated there; at its other edges, the blur sees a border.
    inside = (slice(1, 45), slice(1, 47))
    assert np.abs((seen + 1) * 127.5 - frame)[inside].max() < 1.5
    assert np.abs(((seen + 1) * 127.5 - frame)[inside].mean()) < 0.1


def test_grey_is_the_luma_of_the_crop():
    colours = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [0.4, 0.4, 0.4]])[:, :, None, None]
    seen = FerResNet().grey(colours.expand(-1, 3, CROP_SIZE, CROP_SIZE))
    expected = torch.tensor([2 * 0.299 - 1, 2 * 0.587 - 1, 2 * 0.114 - 1, 0.4])
    torch.testing.assert_close(seen, expected[:, None, None, None].expand_as(seen))


def test_teacher_of_a_user_is_loaded_by_its_folder(teacher):
    name = f"fer_resnet:{teacher}"
    net = load_expression_net(name)
    assert net.asset_sha256 == expression_net_sha256(name)
    assert not any(parameter.requires_grad for parameter in net.parameters())
    images = torch.rand(2, 3, CROP_SIZE, CROP_SIZE, requires_grad=True)
    logits = net(images)
    assert logits.shape == (2, len(EXPRESSIONS))
    torch.testing.assert_close(logits, net.body(net.grey(images)) / 2.0)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), images)
    assert (gradient.abs().amax(dim=(1, 2, 3)) > 0).all()


def test_one_teacher_in_two_folders_holds_one_role(teacher, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy")
    for name in (WEIGHTS_FILE, CARD_FILE):
        (copy / name).write_bytes((teacher / name).read_bytes())
    with pytest.raises(ProtocolError, match="holds two roles, teacher and evaluator"):
        check_roles(RoleConfig(teacher=f"fer_resnet:{teacher}", evaluator=f"fer_resnet:{copy}"))
    check_roles(RoleConfig(teacher=f"fer_resnet:{teacher}", evaluator="face_api_expression"))


@pytest.mark.parametrize("damage", ["no folder", "no card", "card without temperature", "other weights"])
def test_a_folder_without_teacher_is_refused(teacher, damage):
    folder = teacher / "absent" if damage == "no folder" else teacher
    if damage == "no card":
        (teacher / CARD_FILE).unlink()
    if damage == "card without temperature":
        (teacher / CARD_FILE).write_text("[]")
    if damage == "other weights":
        save_weights(teacher / WEIGHTS_FILE, torch.nn.Linear(2, 2))
    with pytest.raises(
        AssetError, match=r"(?s)holds no expression teacher .* expected the teacher\.safetensors and card"
    ):
        load_expression_net(f"fer_resnet:{folder}")


def test_only_nets_that_are_trained_here_come_from_folders(teacher):
    with pytest.raises(ConfigError, match="mini_xception is not trained by `veil train-teacher`; expected fer_resnet:"):
        load_expression_net(f"mini_xception:{teacher}")


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif("VEIL_TEST_DATA" not in os.environ, reason="VEIL_TEST_DATA names no folder with fer2013.zip")
def test_shipped_card_is_true():
    net, card = FerResNet.load(), json.loads((SHIPPED / CARD_FILE).read_text(encoding="utf-8"))
    assert net.asset_sha256 == card["weights_sha256"]
    dataset = datasets.get("fer2013")(Path(os.environ["VEIL_TEST_DATA"]) / "fer2013.zip")
    images = [image for image in dataset.images if image.split == "sealed"]
    assert len(images) == card["images"]["sealed"] == 3589
    grey = torch.from_numpy(np.stack([decode_image(image.read())[..., 0] for image in images]))[:, None]
    with torch.no_grad():
        read = torch.cat([net.logits(batch.float() / 127.5 - 1).argmax(1) for batch in grey.split(256)]).numpy()
    truth = np.array([EXPRESSIONS.index(image.expression) for image in images])
    # Rounding may turn a face on the edge of two expressions on another machine.
    assert np.mean(read == truth) == pytest.approx(card["test"]["accuracy"], abs=1e-3)
    found = confusion_matrix(truth, read, labels=range(len(EXPRESSIONS)))
    assert np.abs(found - np.array(card["test"]["confusion"])).sum() <= 8


@torch.no_grad()
def test_features_are_what_the_last_layer_classifies(teacher):
    net = FerResNet.load_from(teacher)
    images = torch.rand(2, 3, CROP_SIZE, CROP_SIZE) * 2 - 1
    features, logits = net.features_and_logits(images)
    assert features.shape == (2, 192)
    torch.testing.assert_close(logits, net(images))
    torch.testing.assert_close(net.body.head(features) / 2.0, net(images))
