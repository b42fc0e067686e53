"""Heatmaps, keypoints, regions, parsing maps, poses and posteriors as a generator sees them."""

import numpy as np
import pytest
import torch
from real_faces import astronaut_faces
from safetensors.torch import load_file
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist
from skimage.measure import points_in_poly
from torch import nn

from trainables.anonymizers.generative import GeneratorAnonymizer
from trainables.conditioning import archetype as archetype_module
from trainables.conditioning import build_conditioning, posterior
from trainables.conditioning.geometry import POLYLINES
from trainables.conditioning.heatmaps import SIGMA
from trainables.conditioning.regions import MARGIN
from veil.errors import DataError
from veil.expression import expression_net_sha256, load_expression_net
from veil.interfaces import FACE_PARTS


@pytest.fixture(scope="module")
def faces():
    return astronaut_faces(3)


def test_heatmaps_are_blurred_dots(faces):
    landmarks = faces.landmarks.round()
    signal = (build_conditioning("heatmaps")(faces._replace(landmarks=landmarks)) + 1) / 2
    for part, (first, last, _) in zip(signal[0].numpy(), POLYLINES, strict=True):
        expected = np.zeros((112, 112))
        for x, y in landmarks[0, first : last + 1].int().tolist():
            dot = np.zeros((140, 140))  # with room, for the chin may lie below the crop
            dot[y + 14, x + 14] = 1
            blurred = gaussian_filter(dot, SIGMA, truncate=8)
            expected = np.maximum(expected, (blurred / blurred.max())[14:126, 14:126])
        np.testing.assert_allclose(part, expected, atol=2e-3)  # SciPy's kernel is cut off and normalised


def test_heatmaps_follow_a_landmark_by_less_than_a_pixel_and_in_its_part_alone(faces):
    heatmaps = build_conditioning("heatmaps")
    moved = faces.landmarks.clone()
    moved[:, 38] += torch.tensor([0.3, -0.2])
    change = (heatmaps(faces._replace(landmarks=moved)) - heatmaps(faces)).abs().amax(dim=(0, 2, 3))
    assert (change > 0.05).nonzero().flatten().tolist() == [5], "the right eye"


def test_parsing_is_one_channel_a_part(faces):
    signal = build_conditioning("parsing")(faces)
    assert torch.equal(signal.argmax(dim=1), faces.parsing.long())
    assert torch.equal(signal.sum(dim=1), torch.full((3, 112, 112), 2.0 - len(FACE_PARTS)))


def test_pose_is_the_share_of_a_right_angle(faces):
    posed = faces._replace(pose=torch.tensor([[45.0, -9.0, 0.0], [-90.0, 90.0, 18.0], [0.0, 0.0, 120.0]]))
    signal = build_conditioning("pose")(posed)
    torch.testing.assert_close(signal[:, :, 50, 3], torch.tensor([[0.5, -0.1, 0.0], [-1.0, 1.0, 0.2], [0.0, 0.0, 1.0]]))
    assert (signal.flatten(2).std(dim=2) == 0).all(), "the same everywhere"


def test_a_signal_that_nobody_measured_is_an_error(faces):
    for name in ("parsing", "pose"):
        with pytest.raises(DataError, match="3 of 3 faces have no"):
            build_conditioning(f"masked+{name}")(faces._replace(**{name: None}))
    assert build_conditioning("masked+parsing+pose").needs == {"landmarks68", "parsing", "pose"}


def test_an_archetype_is_the_average_face_of_a_posterior_and_its_label_one_of_seven(faces):
    seen = posterior.posteriors(faces.images)
    archetype, label = build_conditioning("archetype"), build_conditioning("archetype_label")
    averages = load_file(archetype_module.WEIGHTS)["coefficients"].float()
    expected = (seen @ averages).view(-1, 1, 112, 112)
    torch.testing.assert_close(archetype(faces), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(label(faces), averages[seen.argmax(dim=1)].view(-1, 1, 112, 112), atol=1e-5, rtol=0)
    dimmed = faces._replace(images=faces.images * 0.97)
    assert not torch.equal(archetype(dimmed), archetype(faces)), "or the next line proves nothing"
    assert torch.equal(label(dimmed), label(faces))


def test_keypoints_are_five_dots_at_eyes_nose_and_corners_of_the_mouth(faces):
    signal = build_conditioning("keypoints")(faces)[0, 0].numpy()
    peaks = np.argwhere((signal == maximum_filter(signal, 9)) & (signal > 0))[:, ::-1]
    landmarks = faces.landmarks[0].numpy()
    eyes = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    expected = np.stack([*eyes, landmarks[30], landmarks[48], landmarks[54]])
    distances = np.linalg.norm(peaks[:, None] - expected, axis=2)
    assert len(peaks) == 5 and (distances.min(axis=0) < 1).all()


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("eyes", [(36, 42), (42, 48)]),
        ("mouth", [(48, 60)]),
        ("expression_regions", [(17, 22), (22, 27), (36, 42), (42, 48), (48, 60)]),
    ],
)
def test_regions_show_the_pixels_around_their_parts_and_no_others(faces, name, parts):
    conditioning = build_conditioning(name)
    signal = conditioning(faces)
    inside = signal[:, 3:] == 1
    assert torch.equal(signal[:, 3:], inside * 2.0 - 1), "nothing in between: a soft border shows a little of all"
    assert torch.equal(signal[:, :3], faces.images * inside)
    inverted = faces._replace(images=torch.where(inside, faces.images, -faces.images))
    assert torch.equal(conditioning(inverted), signal)

    pixels = np.stack(np.meshgrid(np.arange(112), np.arange(112)), axis=-1).reshape(-1, 2)
    away = np.full(112 * 112, np.inf)
    for first, last in parts:
        hull = faces.landmarks[0, first:last].numpy()
        hull = hull[ConvexHull(hull).vertices]
        border = np.concatenate([np.linspace(*ends, 50) for ends in zip(hull, np.roll(hull, 1, axis=0), strict=True)])
        distances = cdist(pixels, border).min(axis=1)
        distances[points_in_poly(pixels, hull)] = 0
        away = np.minimum(away, distances)
    shown = inside[0, 0].numpy().ravel()
    assert shown[away <= MARGIN - 1].all() and not shown[away > MARGIN + 1].any()


def test_posterior_is_the_net_s_on_both_sides_of_the_face_and_asked_for_once(faces, monkeypatch):
    monkeypatch.setattr(posterior, "_remembered", {})
    net = load_expression_net("fer_resnet")
    expected = (net(faces.images).softmax(dim=1) + net(faces.images.flip(-1)).softmax(dim=1)) / 2
    conditioning, asked = build_conditioning("posterior"), []
    hook = posterior._net(torch.device("cpu")).register_forward_pre_hook(lambda _, args: asked.append(len(args[0])))
    signal = conditioning(faces)
    torch.testing.assert_close((signal[:, :, 5, 70] + 1) / 2, expected, rtol=0, atol=1e-5)
    assert (signal.flatten(2).std(dim=2) == 0).all() and asked == [3, 3]
    again = conditioning(faces._replace(images=faces.images[[1, 1, 0]], landmarks=faces.landmarks))
    assert torch.equal(again, signal[[1, 1, 0]]) and asked == [3, 3]
    monkeypatch.setattr(posterior, "MAX_REMEMBERED", 4)
    conditioning(faces._replace(images=faces.images / 2))
    assert asked == [3, 3, 3, 3] and len(posterior._remembered) == 3, "memory has an end"
    hook.remove()


def test_nets_that_a_sum_looks_through_reach_the_anonymizer():
    expected = {"fer_resnet": expression_net_sha256("fer_resnet")}
    assert build_conditioning("posterior+masked").models == expected
    assert build_conditioning("masked+pose").models == {}
    generator = nn.Conv2d(7 + 3, 3, 1)
    assert GeneratorAnonymizer(generator, build_conditioning("pose+posterior")).models == expected
    assert GeneratorAnonymizer(generator, build_conditioning("pose")).models == {}
