"""The jittered detector: YuNet's faces, moved by no more than it says, equally for equal images."""

import numpy as np
import pytest
from orl_crops import require_assets

from veil.faces.align import estimate_similarity
from veil.faces.detectors.jittered import JitteredYuNet
from veil.faces.detectors.yunet import YuNet
from veil.faces.images import decode_image
from veil.registry import datasets

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def pictures():
    require_assets("orl_faces", "yunet")
    images = [decode_image(image.read()) for image in datasets.get("orl")(None).images[:40:5]]
    return [
        np.pad(np.kron(image, np.ones((3, 3, 1), np.uint8)), ((60, 60), (60, 60), (0, 0)), "edge") for image in images
    ]


def test_points_move_together_within_the_bounds(pictures):
    still, moved = (detector(pictures) for detector in (YuNet(), JitteredYuNet()))
    assert [len(faces) for faces in still] == [len(faces) for faces in moved] and sum(map(len, still)) == 8
    angles, scales = [], []
    for (before,), (after,) in zip(still, moved, strict=True):
        assert before.score == after.score and (before.box == after.box).all()
        linear = np.linalg.lstsq(
            before.landmarks5 - before.landmarks5.mean(axis=0), after.landmarks5 - after.landmarks5.mean(axis=0)
        )[0]
        scales.append(np.sqrt(np.linalg.det(linear)))
        angles.append(np.degrees(np.arctan2(linear[0, 1], linear[0, 0])))
        shift = np.abs(after.landmarks5.mean(axis=0) - before.landmarks5.mean(axis=0)) / before.box[2:].max()
        assert (shift <= 0.02 + 1e-6).all()
        assert estimate_similarity(after.landmarks5) is not None
    assert np.abs(angles).max() <= 5.001 and np.abs(np.log(scales)).max() <= np.log(1.05) + 1e-4
    assert np.ptp(angles) > 2 and np.ptp(scales) > 0.02


def test_chance_belongs_to_the_image_and_not_to_its_neighbours(pictures):
    detector = JitteredYuNet()
    together, alone = detector(pictures[:2]), detector(pictures[1:2])
    np.testing.assert_array_equal(together[1][0].landmarks5, alone[0][0].landmarks5)
    assert JitteredYuNet(shift=0.0).settings != detector.settings != YuNet().settings
