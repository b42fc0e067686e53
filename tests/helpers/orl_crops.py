"""Aligned crops of ORL for tests that need several true people."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from veil.assets import fetch
from veil.errors import AssetError
from veil.faces.align import align_face, apply_similarity, estimate_similarity
from veil.faces.detection import detect_faces
from veil.faces.framing import Framing
from veil.faces.images import decode_image
from veil.registry import datasets, detectors


def require_assets(*names: str) -> None:
    """Skip the test if an asset cannot be had."""
    try:
        for name in names:
            fetch(name)
    except AssetError as error:
        pytest.skip(str(error))


@cache
def orl_crops(people: int, images_each: int) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """The first people of ORL: images (N, 3, 112, 112) in [-1, 1], identities (N,), detected landmarks (N, 5, 2)."""
    require_assets("orl_faces", "yunet")
    detector = detectors.get("yunet")()
    crops, identities, landmarks = [], [], []
    for image in datasets.get("orl")(None).images:
        person, number = (int(part.lstrip("s")) for part in image.image_id.split("/"))
        if person > people or number > images_each:
            continue
        pixels = decode_image(image.read())
        face = detect_faces(detector, [pixels], Framing())[0][0]
        matrix = estimate_similarity(face.landmarks5)
        assert matrix is not None
        crops.append(align_face(pixels, matrix))
        identities.append(person)
        landmarks.append(apply_similarity(matrix, face.landmarks5))
    return torch.from_numpy(np.stack(crops)).float() / 127.5 - 1, np.array(identities), np.stack(landmarks)
