"""Photographs of true people in folders."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from orl_crops import require_assets

from veil.registry import datasets


def write_people(root: Path, people: int, images: int) -> Path:
    """The first images of the first people of ORL, one folder per person."""
    require_assets("orl_faces", "yunet", "face_api_landmark_68_bin", "face_api_landmark_68_manifest")
    for image in datasets.get("orl")(None).images:
        person, number = image.image_id.split("/")
        if int(person[1:]) <= people and int(number) <= images:
            (root / person).mkdir(exist_ok=True)
            (root / person / f"{number}.pgm").write_bytes(image.read())
    return root


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people with two images each; one of them also has a black image without a face."""
    root = write_people(tmp_path_factory.mktemp("people"), people=8, images=2)
    cv2.imwrite(str(root / "s3" / "black.png"), np.zeros((112, 92, 3), np.uint8))
    return root


@pytest.fixture(scope="session")
def more_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen people with ten images each."""
    return write_people(tmp_path_factory.mktemp("more-people"), people=16, images=10)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of four images, so that few images make several."""
    monkeypatch.setattr("veil.preparing.plan.PART_IMAGES", 4)
