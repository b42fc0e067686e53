"""Nets that judge realism, each against the implementation its numbers are compared with."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import torch
import torchvision
from orl_crops import orl_crops, require_assets
from real_faces import astronaut_faces
from reference_packages import use_reference_package
from torch import Tensor, nn
from torch.nn import functional as F

from veil.assets import fetch
from veil.assets.registry import load_registry
from veil.errors import AssetError, ConfigError
from veil.faces.landmarks import load_landmarker
from veil.features import load_feature_net, load_perceptual_distance
from veil.features.inception import InceptionFeatures, fid_inception
from veil.features.lpips import PerceptualDistance
from veil.registry import feature_nets


@pytest.fixture(scope="module")
def lpips() -> PerceptualDistance:
    require_assets("lpips_alexnet")
    return load_perceptual_distance()


def whole_bytes(images: Tensor) -> Tensor:
    return ((images + 1) * 127.5).round() / 127.5 - 1


def test_names() -> None:
    assert feature_nets.names() == ["alexnet", "inception", "landmark_features"]
    with pytest.raises(ConfigError, match="did you mean 'landmark_features'"):
        load_feature_net("landmark_feature")


@pytest.mark.data
def test_landmark_features_are_what_the_landmark_head_sees() -> None:
    require_assets("face_api_landmark_68_bin", "face_api_landmark_68_manifest")
    net, landmarker = load_feature_net("landmark_features"), load_landmarker()
    seen: list[Tensor] = []
    landmarker.body.head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    images = astronaut_faces(3).images
    landmarker(images)
    features = net(images)
    assert features.shape == (3, net.feature_size) == (3, 256)
    torch.testing.assert_close(features, seen[0])
    assert net.asset_sha256 == load_registry().asset("face_api_landmark_68_bin").sha256
    assert float(features.std(dim=0).mean()) > 0, "different faces, different features"


def seeded_inception(seed: int = 0) -> dict[str, Tensor]:
    """Weights for which activations keep their size, with batch norms that do something."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, value in fid_inception().state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensors[name] = value
        elif name.endswith(("running_var", "bn.weight")):
            tensors[name] = 0.5 + torch.rand(value.shape, generator=generator)
        else:
            fan_in = value[0].numel() if value.ndim > 1 else 10
            tensors[name] = torch.randn(value.shape, generator=generator) * (2 / fan_in) ** 0.5
    return tensors


@pytest.mark.data
def test_inception_equals_torch_fidelity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_reference_package("torch_fidelity", monkeypatch)
    extractor = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3").FeatureExtractorInceptionV3
    path = tmp_path / "inception.pth"
    torch.save(seeded_inception(), path)
    reference = extractor("inception", ["2048"], feature_extractor_weights_path=str(path))
    monkeypatch.setattr("veil.features.inception.fetch", lambda asset: path)
    net = load_feature_net("inception")
    assert isinstance(net, InceptionFeatures)
    assert not any(parameter.requires_grad for parameter in net.parameters())

    def blocks(module: nn.Module, run: Any) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = {}
        for name, child in module.named_children():
            if name.startswith(("Conv2d", "Mixed")):
                child.register_forward_hook(lambda module, inputs, out, name=name: outputs.update({name: out}))
        with torch.no_grad():
            outputs["features"] = run()
        return outputs

    images = whole_bytes(astronaut_faces(2).images)
    pixels = ((images + 1) * 127.5).round().to(torch.uint8)
    expected = blocks(reference, lambda: reference(pixels)[0])
    found = blocks(net.body, lambda: net(images))
    assert set(found) == set(expected)
    assert len(found) == 17
    assert found["features"].shape == (2, net.feature_size) == (2, 2048)
    for name, value in found.items():
        scale = max(1.0, float(expected[name].abs().max()))
        torch.testing.assert_close(value / scale, expected[name] / scale, atol=1e-4, rtol=0, msg=name)


@pytest.mark.parametrize("name", ["inception", "lpips"])
def test_absent_weights_are_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **settings: Any) -> None:
        raise requests.ConnectionError

    monkeypatch.setenv("VEIL_CACHE", str(tmp_path))
    monkeypatch.delenv("VEIL_ASSETS_DIR", raising=False)
    monkeypatch.setattr("veil.assets.store.http_downloader", lambda: refuse)
    monkeypatch.setattr("veil.assets.store.package_downloader", lambda archive: refuse)
    asset = load_registry().asset({"inception": "fid_inception", "lpips": "lpips_alexnet"}[name])
    with pytest.raises(AssetError) as caught:
        if name == "lpips":
            load_perceptual_distance()
        else:
            load_feature_net(name)
    assert asset.purpose in str(caught.value)
    assert f"{asset.filename} (sha256 {asset.sha256})" in str(caught.value)


@pytest.mark.data
def test_lpips_equals_torchmetrics(lpips: PerceptualDistance) -> None:
    module = importlib.import_module("torchmetrics.functional.image.lpips")
    # Torchmetrics brings the weights of the channels itself; only the backbone comes from our file.
    reference = module._LPIPS(pretrained=True, pnet_rand=True, net="alex")
    backbone = [layer for layer in reference.net.modules() if isinstance(layer, nn.Conv2d)]
    for theirs, ours in zip(backbone, lpips.backbone.convolutions, strict=True):
        theirs.load_state_dict(ours.state_dict())
    images = astronaut_faces(4).images
    blurred = F.avg_pool2d(images, 5, stride=1, padding=2)
    expected = reference(images, blurred).flatten()
    found = lpips(images, blurred)
    assert found.shape == (4,)
    assert float(found.min()) > 0.05
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    for theirs, ours in zip(reference.lins, lpips.weights, strict=True):
        assert torch.equal(theirs.model[-1].weight, ours.weight), "LPIPS version 0.1 as its authors published it"


@pytest.mark.data
def test_backbone_is_torchvisions_alexnet(lpips: PerceptualDistance) -> None:
    # The first row of the first filter of torchvision's AlexNet, as PyTorch prints it.
    row = lpips.backbone.convolutions[0].weight[0, 0, 0].tolist()
    assert row[:3] == pytest.approx([0.11864, 0.094069, 0.095435], abs=5e-6)
    assert row[-3:] == pytest.approx([0.055822, 0.021575, 0.049963], abs=5e-7)


@pytest.mark.data
def test_alexnet_features_equal_torchvisions(lpips: PerceptualDistance) -> None:
    net = load_feature_net("alexnet")
    layers = torchvision.models.alexnet(weights=None).features[:12].eval()
    backbone = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    for theirs, ours in zip(backbone, lpips.backbone.convolutions, strict=True):
        theirs.load_state_dict(ours.state_dict())
    images = astronaut_faces(2).images
    # What torchvision's own weights are documented to take.
    standardised = torchvision.transforms.functional.normalize(
        (images + 1) / 2, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]
    )
    features = net(images)
    assert features.shape == (2, net.feature_size) == (2, 256)
    torch.testing.assert_close(features, layers(standardised).mean(dim=(2, 3)), atol=1e-4, rtol=1e-4)
    assert net.asset_sha256 == lpips.asset_sha256


@pytest.mark.data
def test_alexnet_features_tell_damaged_faces_from_other_people(lpips: PerceptualDistance) -> None:
    images, _, _ = orl_crops(people=12, images_each=2)
    some, others = images[:12], images[12:]
    pixelated = F.interpolate(F.interpolate(others, scale_factor=1 / 4, mode="area"), size=112)
    with torch.no_grad():
        some, others, pixelated = (
            load_feature_net("alexnet")(faces).mean(dim=0) for faces in (some, others, pixelated)
        )
    assert float((some - pixelated).norm()) > 3 * float((some - others).norm())


@pytest.mark.data
def test_lpips_orders_damage_of_real_faces(lpips: PerceptualDistance) -> None:
    images, _, _ = orl_crops(people=4, images_each=2)

    def blurred(size: int) -> Tensor:
        return F.avg_pool2d(F.pad(images, (size // 2,) * 4, mode="replicate"), size, stride=1)

    with torch.no_grad():
        distances = np.stack([lpips(blurred(size), images).numpy() for size in (1, 3, 9, 27)])
        mirrored = lpips(images, blurred(9)).numpy()
    np.testing.assert_allclose(distances[0], 0, atol=1e-7)
    assert (np.diff(distances, axis=0) > 0).all()
    np.testing.assert_allclose(mirrored, distances[2], rtol=1e-5)


@pytest.mark.data
def test_lpips_gradient_is_finite_where_features_vanish(lpips: PerceptualDistance) -> None:
    images = torch.zeros(1, 3, 112, 112, requires_grad=True)
    (gradient,) = torch.autograd.grad(lpips(images, astronaut_faces(1).images).sum(), images)
    assert torch.isfinite(gradient).all()
    assert float(gradient.abs().sum()) > 0


@pytest.mark.data
def test_lpips_refuses_other_arrays(lpips: PerceptualDistance, tmp_path: Path) -> None:
    content = fetch("lpips_alexnet").read_bytes()
    path = tmp_path / "other.ckpt"
    path.write_bytes(content.replace(content[205 : 205 + 5 + 92928], b""))
    with pytest.raises(AssetError, match="does not hold the arrays"):
        PerceptualDistance().fill(path)
