"""Parsing maps: drawn from landmarks, made by a net of the user's, or cut out of a dataset's own."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from matplotlib.path import Path as Outline
from onnx import TensorProto, helper
from real_faces import astronaut_faces
from scipy.ndimage import center_of_mass

from trainables.conditioning.geometry import mirror_landmarks
from veil.errors import AssetError
from veil.faces.align import apply_similarity
from veil.faces.parsing import CELEBAMASK_PARTS, MIRRORED_PARTS, take_own_sides, warp_parsing
from veil.faces.signals import measure_signals
from veil.faces.table import tensor_to_images
from veil.interfaces import FACE_PARTS, NO_PART
from veil.registry import parsers
from veil.weights.files import file_sha256


def part(name: str) -> int:
    return FACE_PARTS.index(name)


def parse(landmarks: torch.Tensor) -> np.ndarray:
    """Maps of faces drawn from landmarks (B, 68, 2)."""
    return parsers.get("polygons")()(torch.zeros(len(landmarks), 3, 112, 112), landmarks).numpy()


@pytest.fixture(scope="module")
def faces():
    """One face, its mouth open: the mean face's lips are shut."""
    faces = astronaut_faces(2)
    faces.landmarks[:, 65:68, 1] += 5
    faces.landmarks[:, 54:60, 1] += 5
    return faces


EYE = [*range(36, 42)]
UPPER_LIP = [48, 49, 50, 51, 52, 53, 54, 64, 63, 62, 61, 60]
LOWER_LIP = [54, 55, 56, 57, 58, 59, 48, 60, 67, 66, 65, 64]


@pytest.mark.parametrize(
    ("name", "around"),
    [
        ("right_eye", EYE),
        ("left_eye", [number + 6 for number in EYE]),
        ("nose", [27, 31, 32, 33, 34, 35]),
        ("upper_lip", UPPER_LIP),
        ("mouth", [*range(60, 68)]),
        ("lower_lip", LOWER_LIP),
    ],
)
def test_parts_fill_their_outlines(faces, name, around):
    y, x = np.mgrid[:112, :112]
    for parsed, landmarks in zip(parse(faces.landmarks), faces.landmarks.numpy(), strict=True):
        outline = landmarks[around]
        x_next, y_next = np.roll(outline, -1, axis=0).T
        area = abs(np.sum(outline[:, 0] * y_next - outline[:, 1] * x_next)) / 2  # the shoelace formula
        edge = np.linalg.norm(outline - np.roll(outline, -1, axis=0), axis=1).sum()
        assert abs((parsed == part(name)).sum() - area) < 0.25 * edge + 1
        inside = Outline(outline).contains_points(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(112, 112)
        assert ((parsed == part(name)) != inside).sum() < 0.4 * edge


def test_skin_is_the_face_with_its_forehead_and_all_else_is_background(faces):
    for parsed, landmarks in zip(parse(faces.landmarks), faces.landmarks.numpy(), strict=True):
        assert set(np.unique(parsed)) == set(range(part("lower_lip") + 1))
        forehead = landmarks[[19, 24]].mean(axis=0) - [0, 12]
        cheek, beside = landmarks[[31, 3]].mean(axis=0), landmarks[1] - [6, 0]
        found = [parsed[round(float(y)), max(0, round(float(x)))] for x, y in (forehead, cheek, beside)]
        assert found == [part("skin"), part("skin"), part("background")]
        hull = cv2.contourArea(cv2.convexHull(landmarks.clip(0, 111)))
        face = (parsed != part("background")).sum()
        assert hull < face < 1.6 * hull


def test_brows_lie_between_forehead_and_eyes_on_their_own_side(faces):
    for parsed in parse(faces.landmarks):
        (right_y, right_x), (left_y, left_x) = (
            center_of_mass(parsed == part(f"{side}_brow")) for side in ("right", "left")
        )
        assert right_x < 56 < left_x, "the right brow of a person is on the left of the picture"
        for y, side in ((right_y, "right"), (left_y, "left")):
            assert y < center_of_mass(parsed == part(f"{side}_eye"))[0]
            assert 40 < (parsed == part(f"{side}_brow")).sum() < 200


def test_mirrored_and_turned_faces_have_mirrored_and_turned_maps(faces):
    plain, mirrored = parse(faces.landmarks), parse(mirror_landmarks(faces.landmarks, 112))
    # Corners of polygons are rounded to a fifth of a pixel.
    assert (MIRRORED_PARTS[plain[:, :, ::-1]] != mirrored).mean() < 0.002
    x, y = (faces.landmarks - 55.5).unbind(-1)
    turned = parse(torch.stack([-y, x], dim=-1) + 55.5)  # a quarter clockwise
    assert (np.rot90(plain, -1, axes=(1, 2)) != turned).mean() < 0.002
    turn = cv2.getRotationMatrix2D((55.5, 55.5), 25, 1.0)
    slanted = parse(torch.from_numpy(cv2.transform(faces.landmarks.numpy(), turn)))
    warped = np.stack([warp_parsing(one, turn, (112, 112)) for one in plain])
    assert (warped != slanted).mean() < 0.02


def test_parts_beyond_the_crop_are_cut_off(faces):
    moved = parse(faces.landmarks + torch.tensor([40.0, 60.0]))
    assert (moved[:, 60:, 40:] != parse(faces.landmarks)[:, :52, :72]).mean() < 0.002


@pytest.mark.parametrize("side", [28, 224, 336])
def test_warping_samples_the_map_at_its_pixels_centres(side):
    small = np.random.default_rng(0).integers(0, 15, (28, 28), np.uint8)
    in_crop = np.kron(small, np.ones((4, 4), np.uint8))
    of_image = small if side == 28 else np.kron(in_crop, np.ones((side // 112, side // 112), np.uint8))
    np.testing.assert_array_equal(warp_parsing(of_image, np.eye(2, 3), (112, 112)), in_crop)


def test_warping_follows_the_alignment():
    height, width = 301, 203
    angle, scale = np.radians(20), 0.6
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.column_stack([linear, [40.0, -50.0]])
    spot = np.array([120.0, 140.0])
    # The spot on a map that is wider and flatter than the image.
    y, x = np.mgrid[:512, :512]
    x_image, y_image = (x + 0.5) * width / 512 - 0.5, (y + 0.5) * height / 512 - 0.5
    of_image = np.where((x_image - spot[0]) ** 2 + (y_image - spot[1]) ** 2 < 15**2, part("nose"), part("skin"))
    parsed = warp_parsing(of_image.astype(np.uint8), matrix, (height, width))
    found = center_of_mass(parsed == part("nose"))[::-1]
    np.testing.assert_allclose(found, apply_similarity(matrix, spot[None])[0], atol=0.2)
    assert abs((parsed == part("nose")).sum() - np.pi * (15 * scale) ** 2) < 10
    corner = np.linalg.solve(linear, -matrix[:, 2])
    assert (corner < 0).any(), "or the crop's corner lies within the image"
    assert parsed[0, 0] == part("background")


def test_sides_come_from_the_landmarks(faces):
    plain = parse(faces.landmarks)
    all_left = np.where(plain == part("right_eye"), part("left_eye"), plain).astype(np.uint8)
    for said in (plain, MIRRORED_PARTS[plain], all_left):
        for one, expected, landmarks in zip(said, plain, faces.landmarks.numpy(), strict=True):
            np.testing.assert_array_equal(take_own_sides(one, landmarks), expected)


def write_parser(path: Path, classes: int = 19) -> None:
    """An ONNX net (1, 3, 512, 512) -> logits that says class c where grey, as ImageNet has it, is nearest to c / 18."""
    # -(grey - c/18)^2 without what all classes share: linear in the grey, which is the mean of undone normalisation.
    place = np.arange(classes) / 18
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    weight = 2 * place[:, None] * deviation / 3
    bias = 2 * place * mean.mean() - place**2
    values = {"weight": weight.reshape(classes, 3, 1, 1), "bias": bias}
    node = helper.make_node("Conv", ["image", "weight", "bias"], ["logits"])
    graph = helper.make_graph(
        [node],
        "parser",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 512, 512])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, classes, 512, 512])],
        [helper.make_tensor(name, TensorProto.FLOAT, value.shape, value.ravel()) for name, value in values.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def test_a_net_of_the_user_parses(faces, tmp_path, monkeypatch):
    write_parser(tmp_path / "face_parsing.onnx")
    monkeypatch.setenv("VEIL_ASSETS_DIR", str(tmp_path))
    parser = parsers.get("bisenet")()
    assert parser.asset_sha256 == file_sha256(tmp_path / "face_parsing.onnx")
    # Stripes of all 19 classes; the brows and eyes of the stripes lie on the left of the picture.
    stripes = np.minimum(np.arange(112) // 5, 18)
    images = torch.from_numpy(stripes / 18 * 2 - 1).float().expand(2, 3, 112, 112)
    landmarks = faces.landmarks.clone()
    landmarks[1] = np.nan
    maps = parser(images, landmarks).numpy()
    names = [FACE_PARTS[number] for number in maps[0, 40, 2:95:5]]
    expected = [name.replace("left_", "right_") for name in CELEBAMASK_PARTS.values()]
    assert names == expected
    assert (maps[1] == NO_PART).all(), "without landmarks nobody knows left from right"
    assert (parser(torch.full((1, 3, 112, 112), 1.0), landmarks[:1]) == NO_PART).all(), "hats alone are no face"
    write_parser(tmp_path / "face_parsing.onnx", classes=11)
    with pytest.raises(AssetError, match=r"face_parsing\.onnx returns \(1, 11, 512, 512\), expected \(1, 19"):
        parsers.get("bisenet")()(images, landmarks)


def test_a_missing_net_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("VEIL_ASSETS_DIR", str(tmp_path))
    with pytest.raises(AssetError, match=r"there is no .*face_parsing\.onnx: .*CelebAMask-HQ.*VEIL_ASSETS_DIR"):
        parsers.get("bisenet")()
    monkeypatch.delenv("VEIL_ASSETS_DIR")
    with pytest.raises(AssetError, match=r"there is no folder set in VEIL_ASSETS_DIR: .*parser 'polygons'"):
        parsers.get("bisenet")()


def test_every_parser_but_the_users_tells_its_name_and_what_it_lacks():
    for name in set(parsers.names()) - {"bisenet"}:
        parser = parsers.get(name)()
        assert (parser.name, parser.asset_sha256) == (name, "")
        assert parser.failure


def test_signals_of_faces_and_the_reasons_of_missing_ones(faces):
    crops = tensor_to_images(faces.images)
    landmarks = faces.landmarks.numpy().copy()
    landmarks[1] = np.nan
    whole, without = measure_signals(crops, landmarks, parsers.get("polygons")())
    np.testing.assert_array_equal(whole.parsing, parse(faces.landmarks)[0])
    assert whole.pose.shape == (3,)
    assert whole.missing == {}
    assert without.parsing is None and without.pose is None
    assert without.missing.keys() == {"parsing", "pose"}

    # A map of the dataset wins, on the person's own sides; where it has none, nothing is made up.
    parser = parsers.get("dataset")()
    own = MIRRORED_PARTS[parse(faces.landmarks)[0]]
    given, none = measure_signals(crops, faces.landmarks.numpy(), parser, [own, None])
    np.testing.assert_array_equal(given.parsing, parse(faces.landmarks)[0])
    assert none.parsing is None and none.pose is not None
    assert none.missing == {"parsing": "the dataset has no parsing map for this image"}
