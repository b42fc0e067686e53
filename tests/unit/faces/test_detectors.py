"""Each detector against a run of its published code, against the others, and on images that are hard to take."""

import json
import os
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from orl_crops import require_assets
from skimage import data

from veil.errors import AssetError
from veil.faces.detection import Detection, Detector, detect_faces
from veil.faces.detectors import mtcnn, retinaface, scrfd
from veil.faces.framing import Framing, make_views
from veil.faces.images import decode_image
from veil.registry import datasets, detectors
from veil.weights.insightface_packs import ROOT_VARIABLE

REFERENCE = Path(__file__).parents[2] / "fixtures" / "detections"

ASSETS = {
    "yunet": ("yunet",),
    "mtcnn": ("mtcnn_pnet", "mtcnn_rnet", "mtcnn_onet"),
    "retinaface": ("retinaface_mobilenet",),
}


@pytest.fixture(scope="module", autouse=True)
def _weights_of_the_developer() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if "VEIL_TEST_DATA" in os.environ:
            patch.setenv("VEIL_ASSETS_DIR", os.environ["VEIL_TEST_DATA"])
        yield


@cache
def load(name: str) -> Detector:
    require_assets(*ASSETS[name])
    return detectors.get(name)()


@cache
def picture(name: str) -> np.ndarray:
    """BGR pictures: "astronaut" has one face, "t1" six, and ids of ORL one, small and grey, framed."""
    if name == "astronaut":
        return np.ascontiguousarray(data.astronaut()[..., ::-1])
    if name == "t1":
        package = find_spec("insightface")  # slow to import
        if package is None or package.origin is None:
            pytest.skip("the picture comes with the insightface package")
        return decode_image((Path(package.origin).parent / "data" / "images" / "t1.jpg").read_bytes())
    require_assets("orl_faces")
    (image,) = (image for image in datasets.get("orl")(None).images if image.image_id == name)
    return make_views(decode_image(image.read()), Framing())[0].pixels


def same(found: list[Detection], expected: list[Detection], atol: float = 1e-3) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.landmarks5, other.landmarks5, atol=atol)
        np.testing.assert_allclose(one.box, other.box, atol=atol)
        assert one.score == pytest.approx(other.score, abs=1e-4)


@pytest.mark.data
@pytest.mark.parametrize("name", ["mtcnn", "retinaface"])
def test_same_faces_as_the_published_code(name: str) -> None:
    recorded = json.loads((REFERENCE / f"{name}.json").read_text())
    for image, faces in recorded.items():
        expected = [Detection(face["score"], np.array(face["box"]), np.array(face["landmarks5"])) for face in faces]
        (found,) = load(name)([picture(image)])
        by_place = (
            sorted(found, key=lambda face: face.box.tolist()),
            sorted(expected, key=lambda face: face.box.tolist()),
        )
        same(*by_place, atol=0.01)


@pytest.mark.data
@pytest.mark.parametrize("name", ASSETS)
def test_a_batch_is_its_images_one_by_one(name: str) -> None:
    detector = load(name)
    astronaut = picture("astronaut")
    images = [
        astronaut,
        np.zeros((90, 70, 3), np.uint8),
        picture("s1/1"),
        astronaut[:, ::-1],
        astronaut[:300],
        astronaut,
    ]
    together = detector(images)
    assert [len(faces) for faces in together] == [1, 0, 1, 1, 1, 1]
    for image, faces in zip(images, together, strict=True):
        same(faces, detector([image])[0])
    assert detector([]) == []


@pytest.mark.gpu
@pytest.mark.data
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["mtcnn", "retinaface"])
def test_an_accelerator_finds_the_same(name: str) -> None:
    require_assets(*ASSETS[name])
    images = [picture("astronaut"), picture("s1/1")]
    # Accelerators may multiply in fewer bits.
    for faces, expected in zip(detectors.get(name)("cuda")(images), load(name)(images), strict=True):
        np.testing.assert_allclose(faces[0].landmarks5, expected[0].landmarks5, atol=0.5)


@pytest.mark.data
@pytest.mark.parametrize("name", ASSETS)
def test_points_are_where_they_belong(name: str) -> None:
    for image in ("astronaut", "t1", "s1/1", "s9/4"):
        (faces,) = detect_faces(load(name), [picture(image)], Framing())
        (reference,) = detect_faces(load("yunet"), [picture(image)], Framing())
        assert len(faces) >= len(reference) == (6 if image == "t1" else 1)
        for expected in reference:
            distances = [np.abs(face.landmarks5 - expected.landmarks5).max() for face in faces]
            face = faces[int(np.argmin(distances))]
            left_eye, right_eye, _, left_mouth, right_mouth = face.landmarks5
            assert left_eye[0] < right_eye[0] and left_mouth[0] < right_mouth[0], "left of the image comes first"
            # Detectors differ by less than half the distance of the eyes even in profile; wrong orders by a whole one.
            errors = np.linalg.norm(face.landmarks5 - expected.landmarks5, axis=1)
            assert errors.max() < 0.5 * np.linalg.norm(expected.landmarks5[0] - expected.landmarks5[1])
            assert 0 < face.score <= 1
            assert (face.landmarks5 > face.box[:2]).all()
            assert (face.landmarks5 < face.box[:2] + face.box[2:]).all()


@pytest.mark.data
@pytest.mark.parametrize("name", ASSETS)
def test_images_without_a_face(name: str) -> None:
    sizes = [(1, 1), (1, 900), (700, 3), (240, 240), (20, 6000)]
    images = [np.full((*size, 3), 128, np.uint8) for size in sizes]
    images.append(np.random.default_rng(0).integers(0, 256, (240, 240, 3)).astype(np.uint8))
    assert detect_faces(load(name), images, Framing()) == [[]] * len(images)
    assert load(name)([images[0], images[1]]) == [[], []]


@pytest.mark.data
@pytest.mark.parametrize("name", ASSETS)
def test_small_faces_of_a_large_picture_are_found(name: str) -> None:
    # A panorama in which a face is 50 pixels wide; reduced to 640 pixels, as a whole, it has 8.
    face = cv2.resize(picture("astronaut"), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    panorama = np.full((700, 4000, 3), 90, np.uint8)
    corners = [(200, 100), (1150, 300), (3700, 400)]
    for x, y in corners:
        panorama[y : y + face.shape[0], x : x + face.shape[1]] = face
    (found,) = detect_faces(load(name), [panorama], Framing())
    assert len(found) == 3
    (whole,) = detect_faces(load(name), [picture("astronaut")], Framing())
    for (x, y), each in zip(corners, sorted(found, key=lambda face: face.box[0]), strict=True):
        expected = (whole[0].landmarks5 + 0.5) * 0.5 - 0.5 + [x, y]
        # A fifth of the distance of the eyes, which is 22 pixels: so few pixels are hard to read.
        np.testing.assert_allclose(each.landmarks5, expected, atol=5)
    assert detect_faces(load(name), [panorama], Framing(finest_scale=0.01)) == [[]], "the tiles find them"


@pytest.mark.data
@pytest.mark.parametrize("name", ASSETS)
def test_contract_tells_detectors_and_their_settings_apart(name: str) -> None:
    detector = load(name)
    assert detector.name == name
    assert len(detector.asset_sha256) == 64
    thresholds = {"mtcnn": {"score_thresholds": (0.6, 0.7, 0.9)}}.get(name, {"score_threshold": 0.9})
    stricter = detectors.get(name)(**thresholds)
    assert json.dumps(stricter.settings) != json.dumps(detector.settings)


def test_retinaface_decodes_what_was_coded() -> None:
    anchors = retinaface.make_anchors(50, 70)
    assert anchors.shape == (2 * (7 * 9 + 4 * 5 + 2 * 3), 4)
    assert anchors[:3].tolist() == [[4, 4, 16, 16], [4, 4, 32, 32], [12, 4, 16, 16]]
    assert anchors[-1].tolist() == [80, 48, 512, 512]
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(len(anchors), 2, generator=generator) * 40
    boxes = torch.cat([corners, corners + 5 + torch.rand(len(anchors), 2, generator=generator) * 50], dim=1)
    points = torch.rand(len(anchors), 5, 2, generator=generator) * 60
    # The inverse, from the paper of SSD (Liu et al., 2016), with variances 0.1 and 0.2.
    centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    coded = torch.cat(
        [(centres - anchors[:, :2]) / (0.1 * anchors[:, 2:]), (sizes / anchors[:, 2:]).log() / 0.2], dim=1
    )
    torch.testing.assert_close(retinaface.decode_boxes(coded, anchors), boxes)
    coded_points = (points - anchors[:, None, :2]) / (0.1 * anchors[:, None, 2:])
    torch.testing.assert_close(retinaface.decode_points(coded_points.flatten(1), anchors), points)


def test_mtcnn_keeps_one_of_a_face_within_a_face() -> None:
    boxes = torch.tensor(
        [[1.0, 1, 100, 100], [11, 11, 40, 40], [200, 1, 300, 100], [1, 1, 100, 100], [250, 1, 350, 100]]
    )
    candidates = mtcnn.Candidates(boxes, torch.tensor([0.7, 0.9, 0.8, 0.95, 0.6]), torch.tensor([0, 0, 0, 1, 0]))
    # The second lies in the first and is surer; the fourth is in another image; the last shares half with the third.
    assert mtcnn._suppress_contained(candidates, 0.7).tolist() == [3, 1, 2, 4]
    assert mtcnn._suppress(candidates, 0.7).tolist() == [3, 1, 2, 0, 4]


DISTANCES = np.arange(1, 5, dtype=np.float32)
OFFSETS = np.linspace(-1, 1, 10, dtype=np.float32)


def write_scrfd(path: Path, size: tuple[object, object] = ("height", "width"), outputs: int = 9) -> None:
    """A net with SCRFD's inputs and outputs: an anchor's score is the brightness of its cell, all else is fixed."""
    nodes, results, constants = [], {"score": [], "box": [], "points": []}, {"flat": np.array([-1, 1], np.int64)}
    for stride in (8, 16, 32):
        constants |= {
            f"box{stride}": DISTANCES[None] * 8 / stride,
            f"points{stride}": OFFSETS[None] * 16 / stride,
            f"zero{stride}": np.zeros((1, 1), np.float32),
            f"two{stride}": np.ones((2, 3, 1, 1), np.float32) / 6 * np.array([1, 0.8], np.float32)[:, None, None, None],
        }
        nodes += [
            helper.make_node("Conv", ["images", f"two{stride}"], [f"bright{stride}"]),
            helper.make_node(
                "AveragePool", [f"bright{stride}"], [f"cells{stride}"], kernel_shape=[stride] * 2, strides=[stride] * 2
            ),
            helper.make_node("Transpose", [f"cells{stride}"], [f"last{stride}"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"last{stride}", "flat"], [f"s{stride}"]),
            helper.make_node("Mul", [f"s{stride}", f"zero{stride}"], [f"none{stride}"]),
            helper.make_node("Add", [f"none{stride}", f"box{stride}"], [f"b{stride}"]),
            helper.make_node("Add", [f"none{stride}", f"points{stride}"], [f"p{stride}"]),
        ]
        for kind, name, width in (("score", "s", 1), ("box", "b", 4), ("points", "p", 10)):
            results[kind].append(
                helper.make_tensor_value_info(f"{name}{stride}", TensorProto.FLOAT, [f"anchors{stride}", width])
            )
    graph = helper.make_graph(
        nodes,
        "scrfd",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *size])],
        [value for values in results.values() for value in values][:outputs],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def test_scrfd_decodes_a_net_whose_answer_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    path = tmp_path / "models" / "buffalo_l" / "det_10g.onnx"
    write_scrfd(path)
    # White where two cells of the finest level are, but only a quarter of a cell of the next.
    image = np.zeros((90, 70, 3), np.uint8)
    image[16:24, 40:48] = image[80:88, 56:64] = 255
    detector = detectors.get("scrfd_10g")(score_threshold=0.45)
    batch = detector([image, np.zeros((33, 500, 3), np.uint8)])
    assert batch[1] == []
    found = sorted(batch[0], key=lambda face: face.box[0])
    assert [face.score for face in found] == pytest.approx([127.5 / 128 / 2] * 2)
    for face, centre in zip(found, [(40, 16), (56, 80)], strict=True):
        np.testing.assert_allclose(face.box, [centre[0] - 8, centre[1] - 16, 8 + 24, 16 + 32])
        np.testing.assert_allclose(face.landmarks5, np.array(centre) + OFFSETS.reshape(5, 2) * 16, rtol=1e-5)

    # InsightFace's own decoding of the same net.
    model = pytest.importorskip("insightface").model_zoo.get_model(str(path), providers=["CPUExecutionProvider"])
    model.det_thresh = 0.45
    padded = cv2.copyMakeBorder(image, 0, 6, 0, 26, cv2.BORDER_CONSTANT)
    boxes, landmarks = model.detect(padded, input_size=padded.shape[1::-1])
    order = boxes[:, 0].argsort()
    np.testing.assert_allclose([[*face.box[:2], *(face.box[:2] + face.box[2:])] for face in found], boxes[order, :4])
    np.testing.assert_allclose([face.landmarks5 for face in found], landmarks[order])


def test_scrfd_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    folder = tmp_path / "models" / "buffalo_s"
    with pytest.raises(AssetError, match=r"no InsightFace pack 'buffalo_s' in .*unpack buffalo_s.zip"):
        scrfd.SCRFD500M()
    write_scrfd(folder / "other.onnx")
    with pytest.raises(AssetError, match=r"has no det_500m.onnx; unpack the whole pack"):
        scrfd.SCRFD500M()
    write_scrfd(folder / "det_500m.onnx", outputs=6)
    with pytest.raises(AssetError, match=r"has 6 outputs .* expected SCRFD with landmarks"):
        scrfd.SCRFD500M()
    write_scrfd(folder / "det_500m.onnx", size=(640, 640))
    with pytest.raises(AssetError, match=r"takes images of \[1, 3, 640, 640\]"):
        scrfd.SCRFD500M()
