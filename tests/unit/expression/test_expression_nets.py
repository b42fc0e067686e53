"""Expression nets against their original runtimes, and what every one of them must be."""

from pathlib import Path

import numpy as np
import pytest
import torch
from orl_crops import require_assets
from real_faces import astronaut_faces

from veil.assets import fetch
from veil.assets.registry import load_registry
from veil.errors import ConfigError
from veil.expression import load_expression_net
from veil.expression.mini_xception import MiniXception
from veil.interfaces import EXPRESSIONS
from veil.registry import expression_nets
from veil.weights.frozen import FrozenNet

# What @vladmandic/face-api 1.7.15 answers under Node (TensorFlow.js 4.22, CPU) on a colour pattern and two true faces:
# images uint8 (3, 3, 112, 112), posteriors (3, 7) in its own order, landmarks (3, 68, 2) as fractions of the image.
RECORDED = Path(__file__).parent / "fixtures" / "face_api.npz"
FACE_API_ORDER = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")
ASSETS = {
    "mini_xception": ("mini_xception_hdf5",),
    "face_api_expression": ("face_api_expression_bin", "face_api_expression_manifest"),
}


@pytest.fixture(scope="module", params=ASSETS)
def net(request: pytest.FixtureRequest) -> FrozenNet:
    require_assets(*ASSETS[request.param])
    return load_expression_net(request.param)


@pytest.mark.data
def test_frozen_and_described(net: FrozenNet) -> None:
    assert net.asset_sha256 == load_registry().asset(net.asset).sha256
    assert not any(parameter.requires_grad for parameter in net.parameters())
    torch.nn.Sequential(net).train()
    assert not any(module.training for module in net.modules())


@pytest.mark.data
def test_logits_and_gradient(net: FrozenNet) -> None:
    images = astronaut_faces(3).images.requires_grad_()
    logits = net(images)
    assert logits.shape == (3, len(EXPRESSIONS))
    with torch.no_grad():
        one_by_one = torch.cat([net(image[None]) for image in images])
    torch.testing.assert_close(logits.detach(), one_by_one, atol=1e-4, rtol=0)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), images)
    assert torch.isfinite(gradient).all()
    assert (gradient.abs().amax(dim=(1, 2, 3)) > 0).all()


@pytest.mark.data
def test_a_smile_is_happy(net: FrozenNet) -> None:
    predictions = net(astronaut_faces(4).images).argmax(1)
    assert [EXPRESSIONS[index] for index in predictions] == ["happy"] * 4


@pytest.mark.data
def test_mini_xception_equals_litert() -> None:
    interpreter_module = pytest.importorskip("ai_edge_litert.interpreter")
    require_assets("mini_xception_hdf5", "mini_xception_tflite")
    net = MiniXception.load()
    interpreter = interpreter_module.Interpreter(str(fetch("mini_xception_tflite")))
    interpreter.allocate_tensors()
    grey = net.grey(torch.cat([astronaut_faces(6).images, recorded_images()]))
    reference = []
    for image in grey:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image.permute(1, 2, 0)[None].numpy())
        interpreter.invoke()
        reference.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].copy())
    difference = np.abs(net.logits(grey).softmax(1).numpy() - np.array(reference))
    # The reference computes with weights rounded to 8 bits.
    assert difference.max() < 0.05
    assert difference.mean() < 0.01


@pytest.mark.data
def test_mini_xception_shows_what_its_last_layer_classifies() -> None:
    require_assets("mini_xception_hdf5")
    net, images = MiniXception.load(), recorded_images()
    maps = []
    net.blocks.register_forward_hook(lambda module, inputs, output: maps.append(output))
    features, logits = net.features_and_logits(images)
    torch.testing.assert_close(logits, net(images))
    torch.testing.assert_close(features, maps[0].flatten(2).mean(dim=2))


@pytest.mark.data
def test_face_api_expression_equals_face_api() -> None:
    require_assets(*ASSETS["face_api_expression"])
    posteriors = load_expression_net("face_api_expression")(recorded_images()).softmax(1).numpy()
    in_its_order = posteriors[:, [EXPRESSIONS.index(name) for name in FACE_API_ORDER]]
    np.testing.assert_allclose(in_its_order, np.load(RECORDED)["posteriors"], atol=1e-5)


def recorded_images() -> torch.Tensor:
    return torch.from_numpy(np.load(RECORDED)["images"]).float() / 127.5 - 1


def test_unknown_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'mini_xception'"):
        load_expression_net("mini_exception")
    assert set(ASSETS) <= set(expression_nets.names())
