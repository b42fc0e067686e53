"""The script that the page of published outputs gives for CIAGAN, on folders as CIAGAN's own programs leave them."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from exported_faces import write_export

from trainables.anonymizers.published import read_published
from veil.faces.table import images_to_tensor, tensor_to_images
from veil.interfaces import FaceBatch

PAGE = Path(__file__).parents[2] / "platform" / "docs" / "published.md"
EYES = ((118, 101), (124, 98), (121, 104), (119, 100))
"""Where process_data.py would find the middle of the eyes in each picture."""

MATRIX = np.array([[0.6, 0.0, -16.0], [0.0, 0.6, -8.4]])


def imitate_ciagan(work: Path) -> None:
    """What process_data.py keeps, with its sizes and its integer arithmetic, and what test.py writes."""
    for part in ("attacker", "search", "sealed"):
        (work / part / "orig").mkdir(parents=True, exist_ok=True)
    places, number = iter(EYES), 0
    for person in sorted((work / "jpeg/search").iterdir()):
        cut = []
        for path in sorted(person.glob("*.jpg")):
            c_x, c_y = next(places)
            h_r = 22 * 5
            w_r = int(h_r / 218 * 178)
            pixels = cv2.copyMakeBorder(cv2.imread(str(path)), *[2 * w_r] * 4, cv2.BORDER_REPLICATE)
            rows, columns = (slice(c - r + 2 * w_r, c + r + 2 * w_r) for c, r in ((c_y, h_r), (c_x, w_r)))
            crop = cv2.resize(pixels[rows, columns], (178, 218), interpolation=cv2.INTER_CUBIC)
            shown = cv2.resize(crop, (144, 144), interpolation=cv2.INTER_AREA)[8:136, 8:136]
            cv2.imwrite(str(work / f"search/out/{number:06}.jpg"), 255 - shown, [cv2.IMWRITE_JPEG_QUALITY, 95])
            number += 1
            cut.append([c_y - h_r, c_y + h_r, c_x - w_r, c_x + w_r, 2 * w_r, path.name])
        folder = work / "search/orig" / person.name
        folder.mkdir()
        np.save(folder / "crop_coord.npy", cut)


def test_ciagan_script(tmp_path: Path) -> None:
    (script,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S) if "crop_coord" in block]
    (tmp_path / "veil_ciagan.py").write_text(script)
    noise = np.random.default_rng(0).uniform(0, 255, (4, 12, 12, 3)).astype(np.float32)
    smooth = [cv2.resize(one, (240, 240), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8) for one in noise]
    crops = write_export(tmp_path / "faces", smooth, MATRIX)

    def run(*arguments: str) -> None:
        command = [sys.executable, "veil_ciagan.py", *arguments]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr

    run("prepare", "faces", "work")
    imitate_ciagan(tmp_path / "work")
    run("collect", "work", "out")
    batch = FaceBatch(images_to_tensor(np.stack(crops)), torch.zeros(4, 68, 2))
    found = tensor_to_images(read_published(tmp_path / "out", tmp_path / "faces")(batch)).astype(int)
    expected = 255 - np.stack(crops).astype(int)
    inner = np.s_[..., 8:104, 8:104]
    here, *beside = (
        np.abs(found - np.roll(expected, shift, (2, 3)))[inner].mean()
        for shift in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
    )
    assert here < 3
    assert min(beside) > 2 * here, "a pixel beside it fits worse"
