"""Folders as `veil export` writes them and as other tools answer them, without datasets or detectors."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from veil.faces.align import align_face
from veil.faces.exported import MANIFEST, ExportedFace, ExportManifest, crop_sha256


def write_export(folder: Path, photographs: list[np.ndarray], matrix: np.ndarray) -> list[np.ndarray]:
    """Photographs, uint8 (H, W, 3) BGR, that share one alignment; returns their crops, uint8 (3, 112, 112)."""
    faces, crops = [], []
    for number, pixels in enumerate(photographs):
        path = folder / f"search/{number // 2}/{number % 2:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), pixels)
        crops.append(align_face(pixels, matrix))
        faces.append(
            ExportedFace(
                file=path.relative_to(folder).as_posix(),
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                image_id=f"person {number // 2}/{number}",
                crop_sha256=crop_sha256(crops[-1]),
                size=(pixels.shape[1], pixels.shape[0]),
                matrix=tuple(map(tuple, matrix.tolist())),
            )
        )
    manifest = ExportManifest(datasets=("folder",), contract_hash="c", data_hash="d", faces=tuple(faces))
    (folder / MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")
    return crops


def run_tool(export: Path, out: Path, change: Callable[[np.ndarray], np.ndarray], suffix: str = ".png") -> Path:
    """What a tool makes of an exported folder: each picture changed, under its own path."""
    for path in sorted(export.rglob("*.png")):
        target = (out / path.relative_to(export)).with_suffix(suffix)
        target.parent.mkdir(parents=True, exist_ok=True)
        quality = [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix == ".jpg" else []
        assert cv2.imwrite(str(target), change(cv2.imread(str(path))), quality)
    return out
