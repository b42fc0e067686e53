"""68 landmarks: the net against face-api itself, and the points against dlib and the detector on true faces."""

from pathlib import Path

import numpy as np
import pytest
import torch
from orl_crops import orl_crops, require_assets
from real_faces import astronaut_faces

from veil.assets import fetch
from veil.faces.landmarks import Landmarker, load_landmarker
from veil.faces.prepare import landmark_distance

# See tests/unit/expression/test_expression_nets.py.
RECORDED = Path(__file__).parents[1] / "expression" / "fixtures" / "face_api.npz"


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    require_assets("face_api_landmark_68_bin", "face_api_landmark_68_manifest")
    return load_landmarker()


@pytest.mark.data
def test_net_equals_face_api(landmarker: Landmarker) -> None:
    recorded = np.load(RECORDED)
    points = landmarker.body(torch.from_numpy(recorded["images"]).float()).view(-1, 68, 2)
    np.testing.assert_allclose(points.numpy(), recorded["landmarks"], atol=1e-5)


@pytest.mark.data
def test_points_lie_where_dlib_and_the_detector_see_them(landmarker: Landmarker) -> None:
    images, _, landmarks5 = orl_crops(people=10, images_each=4)
    points = landmarker(images).numpy()
    assert points.shape == (40, 68, 2)
    distances = [landmark_distance(*pair) for pair in zip(points, landmarks5, strict=True)]
    assert np.mean(distances) < 3.5
    dlib = pytest.importorskip("dlib")
    require_assets("dlib_landmarks_68")
    predictor = dlib.shape_predictor(str(fetch("dlib_landmarks_68")))
    box = dlib.rectangle(14, 20, 98, 112)
    crops = ((images + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    reference = np.array([[(part.x, part.y) for part in predictor(crop, box).parts()] for crop in crops])
    error = np.linalg.norm(points - reference, axis=2)
    assert error.mean() < 2.5
    assert np.abs((points - reference).mean(axis=(0, 1))).max() < 1


@pytest.mark.data
def test_points_follow_the_face(landmarker: Landmarker) -> None:
    images = astronaut_faces(4).images
    moved = torch.roll(images, shifts=(-3, 2), dims=(2, 3))
    shift = (landmarker(moved) - landmarker(images)).mean(dim=(0, 1))
    torch.testing.assert_close(shift, torch.tensor([2.0, -3.0]), atol=1.0, rtol=0)
