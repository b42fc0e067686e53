"""Each recognizer against the runtime its weights come from."""

import cv2
import numpy as np
import pytest
import torch
from orl_crops import require_assets
from real_faces import astronaut_faces
from torch import Tensor, nn

from veil.assets import fetch
from veil.faces.align import ARCFACE_TEMPLATE, estimate_similarity
from veil.recognizers import load_recognizer
from veil.recognizers.dlib_resnet import CHIP_SIZE, CHIP_TO_CROP, DlibResNet
from veil.recognizers.mobilefacenet import FixedPReLU


def as_bytes(images: Tensor) -> np.ndarray:
    """uint8 (B, 112, 112, 3) RGB."""
    return ((images + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Faces in colour, on whole bytes, so that every runtime gets the same pixels."""
    faces = astronaut_faces(2).images
    return ((faces + 1) * 127.5).round() / 127.5 - 1


def normalised(embeddings: np.ndarray) -> np.ndarray:
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


@pytest.mark.data
def test_mobilefacenet_equals_litert(images: Tensor) -> None:
    interpreter_module = pytest.importorskip("ai_edge_litert.interpreter")
    require_assets("mobilefacenet_tflite")
    interpreter = interpreter_module.Interpreter(str(fetch("mobilefacenet_tflite")))
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], (as_bytes(images).astype(np.float32) - 127.5) / 128
    )
    interpreter.invoke()
    reference = normalised(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_allclose(load_recognizer("mobilefacenet")(images).numpy(), reference, atol=5e-6)


def test_fixed_prelu_equals_prelu() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 3, 3, generator=generator, dtype=torch.double)
    reference = nn.PReLU(5).double()
    reference.weight.data.copy_(torch.tensor([-1.5, -0.1, 0.0, 0.25, 3.0]))
    fixed = FixedPReLU(5).double()
    fixed.slope.copy_(reference.weight.data)
    gradients = []
    for activation in (fixed, reference):
        inputs = x.clone().requires_grad_()
        out = activation(inputs)
        gradients.append(torch.autograd.grad(out.pow(3).sum(), inputs)[0])
    torch.testing.assert_close(gradients[0], gradients[1])
    assert torch.autograd.gradcheck(fixed, x.requires_grad_())
    assert torch.autograd.gradgradcheck(fixed, x)


@pytest.mark.data
def test_sface_equals_onnxruntime_and_opencv(images: Tensor) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    require_assets("sface")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(fetch("sface")), options, providers=["CPUExecutionProvider"])
    pixels = as_bytes(images)
    inputs = pixels.transpose(0, 3, 1, 2).astype(np.float32)
    name = session.get_inputs()[0].name
    reference = normalised(np.concatenate([session.run(None, {name: image[None]})[0] for image in inputs]))
    embeddings = load_recognizer("sface")(images).numpy()
    np.testing.assert_allclose(embeddings, reference, atol=5e-6)
    # OpenCV's own class takes BGR images: it agrees only if our order of channels is the right one.
    opencv = cv2.FaceRecognizerSF.create(str(fetch("sface")), "")
    reference = normalised(np.concatenate([opencv.feature(np.ascontiguousarray(p[..., ::-1])) for p in pixels]))
    np.testing.assert_allclose(embeddings, reference, atol=1e-4)


@pytest.mark.data
def test_dlib_resnet_equals_dlib_on_the_same_chips(images: Tensor) -> None:
    dlib = pytest.importorskip("dlib")
    require_assets(DlibResNet.asset, "face_api_recognition_manifest", "dlib_recognition")
    recognizer = DlibResNet.load()
    chips = recognizer.chips(images).round()
    model = dlib.face_recognition_model_v1(str(fetch("dlib_recognition")))
    pixels = chips.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    reference = np.array([model.compute_face_descriptor(chip) for chip in pixels])
    descriptors = recognizer.body(chips).numpy()
    # The weights are quantised to 8 bits; dlib calls two faces the same person below a distance of 0.6.
    assert np.linalg.norm(descriptors - reference, axis=1).max() < 0.06
    cosines = (normalised(descriptors) * normalised(reference)).sum(1)
    assert cosines.min() > 0.999


def test_chip_geometry_follows_from_both_templates() -> None:
    # dlib's mean shape (get_face_chip_details, 68 parts), in units of the face box: eyes, nose tip, mouth corners.
    right_eye_x = np.mean([0.121737, 0.187122, 0.265825, 0.334606, 0.260918, 0.182743])
    left_eye_x = np.mean([0.645647, 0.714428, 0.793132, 0.858516, 0.79751, 0.719335])
    eye_y = np.mean([0.216423, 0.178758, 0.179852, 0.231733, 0.245099, 0.244077])
    mean_shape = np.array([
        [right_eye_x, eye_y], [left_eye_x, eye_y], [0.490127, 0.515625], [0.254149, 0.780233], [0.726104, 0.780233]
    ])  # fmt: skip
    padding = 0.25
    chip_points = (mean_shape + padding) / (1 + 2 * padding) * CHIP_SIZE
    # The least-squares map towards the crop; veil's own estimate goes from any five points to the ArcFace template.
    matrix = estimate_similarity(chip_points)
    assert matrix is not None
    np.testing.assert_allclose(np.array(CHIP_TO_CROP), matrix, atol=1e-3)
    assert np.abs(chip_points @ matrix[:, :2].T + matrix[:, 2] - ARCFACE_TEMPLATE).max() < 2.5


@pytest.mark.data
def test_chips_are_sampled_where_opencv_samples_them(images: Tensor) -> None:
    require_assets(DlibResNet.asset, "face_api_recognition_manifest")
    chips = DlibResNet.load().chips(images).permute(0, 2, 3, 1).numpy()
    for chip, crop in zip(chips, as_bytes(images).astype(np.float32), strict=True):
        reference = cv2.warpAffine(
            crop, np.array(CHIP_TO_CROP), (CHIP_SIZE, CHIP_SIZE),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        # OpenCV rounds positions to 1/32 pixel.
        assert np.abs(chip - reference).mean() < 1
