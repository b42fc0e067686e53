"""Exported folders: who is judged, under numbers instead of names, and a manifest that finds everything again."""

import io
from pathlib import Path

import numpy as np
import pytest
from face_rows import make_row
from rich.console import Console

from trainables.anonymizers.published import read_published
from veil import exporting
from veil.config import StudyConfig
from veil.errors import DataError
from veil.exporting import export_faces
from veil.faces.contract import CropContract
from veil.faces.exported import crop_sha256, read_manifest
from veil.faces.images import decode_image
from veil.faces.study_faces import StudyFaces
from veil.faces.table import FaceTable

CONTRACT = CropContract("yunet", "0" * 64, {}, "dlib", "1" * 64)
PEOPLE = (("train", "ann"), ("attacker", "bob"), ("search", "dan"), ("search", "cyd"), ("sealed", "eve"))


@pytest.fixture
def faces(monkeypatch: pytest.MonkeyPatch) -> StudyFaces:
    """Two images a person, one of them without a face, and labelled faces of nobody known, as if prepared."""
    rows = [make_row(10 * i + k, split, name) for i, (split, name) in enumerate(PEOPLE) for k in (0, 1)]
    rows.append(make_row(99, "search", "dan", crop=None, landmarks5=None, landmarks68=None))
    labelled = [
        make_row(200 + k, split, None, expression_label="happy")
        for k, split in enumerate(("train", "train", *["search"] * 6, "sealed", "sealed"))
    ]
    extra = {"fer2013": FaceTable.from_rows(labelled, CONTRACT)}
    prepared = StudyFaces(FaceTable.from_rows(rows, CONTRACT), extra)
    monkeypatch.setattr(exporting, "prepare_study", lambda data, cache, progress: None)
    monkeypatch.setattr(StudyFaces, "load", lambda data, where: prepared)
    return prepared


def config(**suite: object) -> StudyConfig:
    return StudyConfig.parse({"data": {"extra": [{"dataset": "fer2013"}]}, "suite": suite}, "test")


def test_crops_of_all_who_are_judged(faces: StudyFaces, tmp_path: Path) -> None:
    output = io.StringIO()
    out = tmp_path / "out"
    manifest = export_faces(config(labelled_images=4), out, True, Console(file=output, width=200))
    assert manifest == read_manifest(out)
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png")) == [
        face.file for face in manifest.faces
    ]
    people = {face.file: face.image_id for face in manifest.faces if not face.file.startswith("fer2013")}
    assert people == {
        "attacker/0/000000.png": "i10",
        "attacker/0/000001.png": "i11",
        "sealed/0/000000.png": "i40",
        "sealed/0/000001.png": "i41",
        "search/0/000000.png": "i30",  # cyd
        "search/0/000001.png": "i31",
        "search/1/000000.png": "i20",  # dan
        "search/1/000001.png": "i21",
    }
    labelled = [face.file.rsplit("/", 1)[0] for face in manifest.faces if face.file not in people]
    assert labelled == ["fer2013-sealed/0"] * 2 + ["fer2013-search/0"] * 4
    crops = dict(zip(faces.people.image_ids, faces.people.crops[:], strict=True))
    for face in manifest.faces[:2]:
        stored = decode_image((out / face.file).read_bytes())[..., ::-1].transpose(2, 0, 1)
        assert np.array_equal(stored, crops[face.image_id]) and face.crop_sha256 == crop_sha256(stored)
        assert face.size == (112, 112) and face.matrix == ((1, 0, 0), (0, 1, 0))
    assert "fer2013-search   4 images" in output.getvalue() and "licence of orl: free for research" in output.getvalue()
    with pytest.raises(DataError, match="every face in .* is the original's"):
        read_published(out, out)


def test_without_labelled_faces_there_are_people_alone(faces: StudyFaces, tmp_path: Path) -> None:
    manifest = export_faces(config(labelled_images=0), tmp_path / "out", True, Console(file=io.StringIO()))
    assert {face.file.split("/")[0] for face in manifest.faces} == {"attacker", "search", "sealed"}
    assert manifest.datasets == ("orl",)


def test_a_folder_in_use_is_refused_before_faces_are_prepared(tmp_path: Path) -> None:
    (tmp_path / "photo.png").touch()
    with pytest.raises(DataError, match="holds files already"):
        export_faces(config(), tmp_path, True, Console(file=io.StringIO()))
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]
