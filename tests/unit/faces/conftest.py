"""Rows of a small face table: the contents are arbitrary, the layout is what is tested."""

import numpy as np
import pytest

from veil.faces.contract import CropContract
from veil.faces.table import FaceRow


def make_row(number: int, split: str = "train", identity: str | None = "ann", **changes: object) -> FaceRow:
    generator = np.random.default_rng(number)
    values: dict[str, object] = {
        "image_id": f"i{number:02}",
        "split": split,
        "source_path": f"/faces/{number}.png",
        "source_sha256": f"{number:064x}",
        "detector": "yunet",
        "identity": identity,
        "crop": generator.integers(0, 256, (3, 112, 112), dtype=np.uint8),
        "landmarks5": generator.uniform(0, 112, (5, 2)).astype(np.float32),
        "landmarks68": generator.uniform(0, 112, (68, 2)).astype(np.float32),
        "detector_score": 0.9,
    }
    return FaceRow(**(values | changes))  # type: ignore[arg-type]


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
