"""The published trainable: what a tool made of exported faces, kept by the trial and never registered."""

import io
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from exported_faces import run_tool, write_export
from rich.console import Console

from trainables.published import Published, PublishedConfig
from veil.attacking.sources import SettingsChoice, open_model
from veil.config import StudyConfig
from veil.errors import ConfigError, DataError
from veil.faces.table import images_to_tensor, tensor_to_images
from veil.interfaces import FaceBatch, TrialContext
from veil.picking import Budget, pick_point
from veil.protocol.score import Estimate, TrialScore
from veil.records import Manifest, TrialRecord
from veil.reporting import face_counts
from veil.runtime import LocalLauncher
from veil.study import StudyFolder


@pytest.fixture
def exported(tmp_path: Path) -> list[np.ndarray]:
    """Faces in `tmp_path/export`, and a tool's outputs, inverted, in `tmp_path/out`."""
    photographs = list(np.random.default_rng(0).integers(0, 255, (4, 120, 130, 3), dtype=np.uint8))
    crops = write_export(tmp_path / "export", photographs, np.eye(2, 3))
    run_tool(tmp_path / "export", tmp_path / "out", lambda pixels: 255 - pixels)
    return crops


def parse(tmp_path: Path, **values: object) -> PublishedConfig:
    given = {"method": "ciagan", "folder": str(tmp_path / "out"), "export": str(tmp_path / "export")}
    return PublishedConfig.parse(given | values, where="test")


def test_a_trial_keeps_what_it_was_scored_on(tmp_path: Path, exported: list[np.ndarray]) -> None:
    context = TrialContext(
        folder=tmp_path, cache=tmp_path, faces=None, load_roles=lambda device: None, launcher=LocalLauncher(), seed=0
    )
    config = parse(tmp_path)
    outcome = Published().run(config, context)
    shutil.rmtree(tmp_path / "out")
    shutil.rmtree(tmp_path / "export")
    faces = FaceBatch(images_to_tensor(np.stack(exported)), torch.zeros(4, 68, 2))
    for anonymizer in (outcome.anonymizer, Published().load(config, tmp_path)):
        assert anonymizer is not None
        np.testing.assert_array_equal(tensor_to_images(anonymizer(faces)), 255 - np.stack(exported))
    with pytest.raises(DataError, match="veil-export.json"):
        Published().run(config, context)


def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse(tmp_path, folder="out").folder == tmp_path / "out", "a trial runs in another folder"
    labels = {method: Published().label(parse(tmp_path, method=method)) for method in ("deepprivacy2", "my tool")}
    assert labels == {"deepprivacy2": "DeepPrivacy2 (published)", "my tool": "my tool (published)"}
    for wrong in ("", " ciagan", "two\nlines", "x" * 33):
        with pytest.raises(ConfigError, match="'method'"):
            parse(tmp_path, method=wrong)


def test_veil_attack_takes_outputs(tmp_path: Path, exported: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    cv2.imwrite(str(tmp_path / "out/search/0/000000.png"), cv2.imread(str(tmp_path / "export/search/0/000000.png")))
    monkeypatch.setattr("veil.attacking.sources._faces", lambda data, progress: None)
    settings = SettingsChoice(None, "smoke")
    source = open_model(f"published:folder={tmp_path / 'out'},export={tmp_path / 'export'}", settings)
    assert source.notes == ("1 of 4 faces were published as they were: search/0/000000.png.",)
    assert source.label.startswith("published folder=") and source.proxies == ()
    with pytest.raises(ConfigError, match=r"anonymizer 'published:folder=out'.* 'export'"):
        open_model("published:folder=out", settings)


def test_outputs_are_never_registered(tmp_path: Path) -> None:
    config = StudyConfig(study="mine", root=tmp_path)
    objectives = ("leak", "utility")
    manifest = Manifest(
        space="smoke", base_hash="", suite_hash="", data_hash=None, contract_hash=None, objectives=objectives
    )
    estimates = {name: Estimate(value=0.5, low=0.4, high=0.6) for name in objectives}
    score = TrialScore(
        valid=True, rungs=(), objectives=estimates, target_split="search", n_images=1, undetected=0, suite_hash="",
        data_hash="", contract_hash="",
    )  # fmt: skip
    folder = StudyFolder(config.folder)
    folder.create(config, manifest)
    record = TrialRecord(
        number=3,
        state="valid",
        trainable="published",
        family="published",
        label="CIAGAN (published)",
        objectives=estimates,
        score=score,
        notes=("2 of 9 faces were published as they were.",),
    )
    folder.write_record(record)
    assert face_counts([record, record.model_copy(update={"number": 4, "notes": ()})]) == [
        "2 of 9 faces were published as they were. (trial 3)"
    ]
    with pytest.raises(ConfigError, match=r"trial 3 \(CIAGAN .* cannot be registered: it applies to no images but"):
        pick_point(folder, Budget(None, None, True, None), "faces@good", Console(file=io.StringIO()))
    assert not (folder.path / "sealed.jsonl").exists(), "the sealed people were not looked at"
