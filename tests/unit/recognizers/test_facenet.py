"""FaceNet: the architecture of the published weights, layer by layer, and the input it was trained on."""

import importlib
import json
from pathlib import Path

import pytest
import torch
from real_faces import astronaut_faces
from reference_packages import use_reference_package
from torch import Tensor, nn
from torch.nn import functional as F

from veil.assets.registry import load_registry
from veil.recognizers import load_recognizer
from veil.recognizers.facenet import FaceNetCasia, FaceNetVggFace2, InceptionResnetV1
from veil.registry import recognizers

# Names and shapes of InceptionResnetV1's tensors in facenet-pytorch 2.6.0, without the classifier.
PUBLISHED_SHAPES = json.loads((Path(__file__).parent / "fixtures" / "inception_resnet_v1.json").read_text())
PEOPLE_TRAINED_ON = {"facenet_vggface2": 8631, "facenet_casia": 10575}


def seeded_tensors(seed: int = 0) -> dict[str, Tensor]:
    """Weights under the published names for which activations keep their size, with batch norms that do something."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in PUBLISHED_SHAPES.items():
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(1)
        elif name.endswith(("running_var", "bn.weight")):
            tensors[name] = 0.5 + torch.rand(shape, generator=generator)
        else:
            fan_in = torch.Size(shape[1:]).numel() if len(shape) > 1 else 10
            tensors[name] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
    return tensors


def write_weights(path: Path, people: int) -> dict[str, Tensor]:
    """A file as published: the net's tensors and the classifier of the people trained on."""
    tensors = seeded_tensors()
    classifier = {"logits.weight": torch.zeros(people, 512), "logits.bias": torch.zeros(people)}
    torch.save({**tensors, **classifier}, path, _use_new_zipfile_serialization=False)  # the files are of 2020
    return tensors


def test_tensors_have_the_published_names_and_shapes() -> None:
    found = {name: list(tensor.shape) for name, tensor in InceptionResnetV1().state_dict().items()}
    assert found == PUBLISHED_SHAPES


def test_number_of_parameters() -> None:
    parameters = sum(parameter.numel() for parameter in InceptionResnetV1().parameters())
    assert parameters == 23_482_624
    # With the classifier of 8631 people: the number that facenet-pytorch's published net has.
    assert parameters + 8631 * 513 == 27_910_327


def test_published_files_have_room_for_exactly_these_tensors() -> None:
    bytes_each = {name: 8 if name.endswith("num_batches_tracked") else 4 for name in PUBLISHED_SHAPES}
    net = sum(bytes_each[name] * torch.Size(shape).numel() for name, shape in PUBLISHED_SHAPES.items())
    # What is left is the pickled names, the same in both files.
    left = {
        load_registry().asset(name).size_bytes - net - 4 * 513 * people for name, people in PEOPLE_TRAINED_ON.items()
    }
    assert left == {137_723}


@pytest.mark.data
def test_every_layer_equals_facenet_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    package = use_reference_package("facenet_pytorch", monkeypatch) / "facenet_pytorch"
    monkeypatch.syspath_prepend(str(package))  # the net's own file: the package as a whole takes seconds to import
    reference = importlib.import_module("models.inception_resnet_v1").InceptionResnetV1().eval()
    tensors = seeded_tensors()
    reference.load_state_dict(tensors)
    ours = InceptionResnetV1().eval()
    ours.load_state_dict(tensors)

    def layers(net: nn.Module, faces: Tensor) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = {}
        for name, module in net.named_modules():
            if name:
                module.register_forward_hook(lambda module, inputs, out, name=name: outputs.update({name: out}))
        with torch.no_grad():
            outputs["embedding"] = F.normalize(net(faces))
        return outputs

    faces = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(1)) * 2 - 1
    expected, found = layers(reference, faces), layers(ours, faces)
    assert set(expected) - set(found) == {"dropout", *(name for name in expected if name.endswith("relu"))}
    assert not set(found) - set(expected)
    assert len(found) > 300
    for name, value in found.items():
        scale = max(1.0, float(expected[name].abs().max()))
        torch.testing.assert_close(value / scale, expected[name] / scale, atol=1e-5, rtol=0, msg=name)
    assert len(torch.unique(found["embedding"].round(decimals=3))) > 100, "not a collapsed net"


@pytest.mark.parametrize("recognizer", [FaceNetVggFace2, FaceNetCasia])
def test_published_file_loads_from_the_users_folder(
    recognizer: type[FaceNetVggFace2], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.pt"
    tensors = write_weights(path, PEOPLE_TRAINED_ON[recognizer.name])
    monkeypatch.setattr("veil.recognizers.facenet.fetch", lambda asset: path)
    net = load_recognizer(recognizer.name)
    assert recognizers.get(net.name) is recognizer
    assert net.asset_sha256 == load_registry().asset(recognizer.asset).sha256
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules()), "folded"

    images = astronaut_faces(2).images
    pixels = (images + 1) * 127.5
    plain = InceptionResnetV1().eval()
    plain.load_state_dict(tensors)
    resized = F.interpolate(pixels, size=160, mode="bilinear", align_corners=False)
    with torch.no_grad():
        expected = F.normalize(plain((resized - 127.5) / 128))  # facenet's fixed_image_standardization
    found = net(images)
    assert found.shape == (2, net.embedding_size) == (2, 512)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_gradient_reaches_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pt"
    write_weights(path, people=1)
    monkeypatch.setattr("veil.recognizers.facenet.fetch", lambda asset: path)
    net = load_recognizer("facenet_casia")
    images = astronaut_faces(2).images.requires_grad_()
    first, second = net(images)
    (gradient,) = torch.autograd.grad((first * second).sum(), images)
    with torch.no_grad():
        step = 1e-2 * gradient / gradient.norm()
        ahead, behind = ((a * b).sum() for a, b in (net(images + step), net(images - step)))
    assert float(ahead - behind) == pytest.approx(2e-2 * float(gradient.norm()), rel=0.1)


def test_incomplete_file_is_refused(tmp_path: Path) -> None:
    tensors = seeded_tensors()
    del tensors["mixed_6a.branch0.conv.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key\(s\).*mixed_6a.branch0.conv.weight"):
        InceptionResnetV1().fill(tensors)
