"""Rows of a small face table: the contents are arbitrary, the layout is what is tested."""

import numpy as np

from veil.faces.rows import FaceRow


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
