"""A true face for tests that need no download: the astronaut that scikit-image carries (NASA, public domain)."""

import cv2
import numpy as np
import torch
from skimage import data

from veil.faces.pose import estimate_pose
from veil.interfaces import FaceBatch
from veil.registry import parsers

# Eyes, nose and corners of the mouth as YuNet finds them.
_POINTS = np.array([[200.1, 101.8], [247.1, 102.6], [220.4, 124.5], [198.6, 142.8], [239.7, 143.6]], np.float32)
_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)

# Mean shape of aligned faces, iBUG-68 order, in crop pixels.
_MEAN_SHAPE = """
14 54 15 65 16 75 18 86 21 96 28 104 36 110 46 113 57 114 68 113 77 110 86 104 92 96 95 86 97 76 98 65 98 54
21 48 26 42 34 41 42 41 50 44 63 44 70 41 78 40 86 42 92 47 56 51 56 58 56 65 56 72 48 77 52 79 56 80 61 79 65 77
30 53 34 51 40 51 45 54 40 55 34 55 68 54 73 51 78 51 83 54 78 55 73 55
39 91 46 88 52 87 57 88 61 87 67 88 74 91 67 95 61 98 57 98 52 97 46 95 42 91 52 90 57 91 61 90 71 91 61 92 57 93 52 92
"""


def astronaut_faces(count: int) -> FaceBatch:
    """The same aligned face in `count` slightly different poses, with landmarks, parsing maps and head poses."""
    generator = np.random.default_rng(0)
    align, _ = cv2.estimateAffinePartial2D(_POINTS, _TEMPLATE)
    shape = np.array(_MEAN_SHAPE.split(), np.float32).reshape(68, 2)
    images, landmarks = [], []
    for _ in range(count):
        angle, scale = generator.uniform(-8, 8), generator.uniform(0.92, 1.05)
        pose = cv2.getRotationMatrix2D((56.0, 70.0), angle, scale)
        warp = (np.vstack([pose, [0, 0, 1]]) @ np.vstack([align, [0, 0, 1]]))[:2]
        crop = cv2.warpAffine(data.astronaut(), warp, (112, 112), flags=cv2.INTER_AREA)
        images.append(torch.from_numpy(crop).permute(2, 0, 1).float() / 127.5 - 1)
        landmarks.append(torch.from_numpy(cv2.transform(shape[None], pose)[0]).float())
    faces = FaceBatch(torch.stack(images), torch.stack(landmarks))
    poses = [estimate_pose(points).degrees for points in faces.landmarks.numpy()]
    return faces._replace(
        parsing=parsers.get("polygons")()(faces.images, faces.landmarks), pose=torch.from_numpy(np.stack(poses))
    )
