"""A small face table."""

import pytest
from face_rows import make_row

from veil.faces.contract import CropContract
from veil.faces.rows import FaceRow


@pytest.fixture
def contract() -> CropContract:
    return CropContract("yunet", "0" * 64, {"score_threshold": 0.6}, "landmarks", "1" * 64)


@pytest.fixture
def rows() -> list[FaceRow]:
    """Two people in each of two splits; one undetected image, one face without landmarks, one double source."""
    undetected = {"crop": None, "landmarks5": None, "landmarks68": None, "detector_score": None}
    return [
        make_row(0, "train", "ann"),
        make_row(1, "train", "ann", missing={"crop": "no face found"}, **undetected),
        make_row(2, "train", "bob"),
        make_row(3, "search", "cy", landmarks68=None, missing={"landmarks68": "the 68 landmarks lie 30.0 px away"}),
        make_row(4, "search", "cy"),
        make_row(5, "search", "di", expression_label="happy", label_distribution=[0, 0, 0, 1, 0, 0, 0]),
        make_row(6, "search", "di", source_sha256=f"{5:064x}"),
    ]
