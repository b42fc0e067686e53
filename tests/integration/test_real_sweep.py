"""One complete sweep on real faces, small but whole: baseline, two GANs, attacks, tracking, page, pick, model."""

import os
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pytest
import torch
import yaml
from skimage import data
from study_helpers import call_veil, mlflow_runs, optuna_trials, run_veil

from veil.assets import cache_folder, fetch
from veil.cli import ExitStatus
from veil.config import DataConfig
from veil.errors import AssetError
from veil.faces.table import FaceTable, tensor_to_images
from veil.preparing import prepare
from veil.registry import trainables
from veil.sealed import registrations, sealed_looks
from veil.study import StudyFolder

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(600)]

TINY_GAN = {"images": 48, "warm_start_images": 48, "generator_width": 8, "discriminator_width": 8}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A finished study of three trials: blur, a GAN that sees pixels, a GAN that sees landmarks."""
    for asset in ("orl_faces", "sface", "mobilefacenet_tflite"):
        try:
            fetch(asset)
        except AssetError as error:
            pytest.skip(f"needs {asset}: {error}")
    root = tmp_path_factory.mktemp("studies")
    values = {
        "study": "tiny",
        "root": str(root),
        "search": {"space": "smoke", "trials": 3, "base": {"gan_anonymizer": TINY_GAN}},
        "suite": {"bootstrap_replicates": 200, "floor_permutations": 50},
    }
    path = root / "tiny.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    result = run_veil("sweep", "--config", str(path), timeout=500)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "search" in result.stdout and "hypervolume" in result.stdout
    return StudyFolder(root / "tiny")


def test_every_trial_is_attacked_by_the_whole_ladder(study: StudyFolder) -> None:
    records = study.records()
    assert [record.trainable for record in records] == ["baseline", "gan_anonymizer", "gan_anonymizer"]
    for record in records:
        assert record.state == "valid" and record.score is not None
        rungs = {rung.name: rung for rung in record.score.rungs}
        assert {"control", "naive", "reverse", "parrot", "informed/closed_set"} <= set(rungs)
        assert rungs["control"].tar.value >= 0.95
        attacks = [rung.tar.value for rung in record.score.rungs if rung.rung != "A0"]
        leak = record.objectives["leak"]
        assert leak.value == max(attacks) and leak.low <= leak.value <= leak.high
        assert all(rung.n_impostor * 0.01 >= 30 for rung in record.score.rungs)
        assert record.score.proxy["mobilefacenet"].cosine <= 1
    blur, pixels, landmarks = records
    assert pixels.params["conditioning"] == "pixels" and landmarks.params["conditioning"] == "landmarks"
    assert blur.objectives["leak"].value > 0.9, "a slight blur hides nobody"
    assert len({record.objectives["utility"].value for record in records}) == 3, "identical scores mean no model ran"


def test_three_levels_of_runs_with_artifacts(study: StudyFolder) -> None:
    (sweep,) = mlflow_runs(study, "sweep")
    trials = {run.info.run_id: run for run in mlflow_runs(study, "trial")}
    attackers = mlflow_runs(study, "attacker")
    assert len(trials) == len(optuna_trials(study)) == 3
    assert {run.data.tags["mlflow.parentRunId"] for run in trials.values()} == {sweep.info.run_id}
    assert {run.data.tags["mlflow.parentRunId"] for run in attackers} == set(trials)
    client = mlflow.MlflowClient(f"sqlite:///{study.path.parent / 'mlflow.db'}")
    assert "frontier.html" in {item.path for item in client.list_artifacts(sweep.info.run_id)}
    for run_id, run in trials.items():
        artifacts = {item.path for item in client.list_artifacts(run_id)}
        assert {"grid.png", "roc.png", "score.json", "record.json"} <= artifacts
        assert "objective/leak_high" in run.data.metrics
        if run.data.params["trainable"] == "gan_anonymizer":
            assert client.get_metric_history(run_id, "loss/rec")[-1].step == TINY_GAN["images"]
            assert "generator" in artifacts


@pytest.fixture
def short_ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed people are attacked as the study attacks, which is quicker than by the full ladder with three seeds."""
    monkeypatch.setattr("veil.picking.operating_point.sealed_suite", lambda suite, sealed: suite)


@pytest.mark.usefixtures("short_ladder")
def test_picked_point_is_rescored_on_sealed_people_and_registered(study: StudyFolder) -> None:
    root = str(study.path.parent)
    refused = call_veil("pick", "tiny", "--root", root, "--max-leak", "0.0")
    assert refused.returncode == 2 and "no trial leaks at most 0.0" in refused.stderr
    assert not (study.path / "sealed.jsonl").exists(), "sealed people must not be looked at for nothing"

    picked = call_veil("pick", "tiny", "--root", root, "--trial", "2", "--register", "face-anonymizer@balanced")
    assert picked.returncode == 0, picked.stdout + picked.stderr
    assert "dlib_resnet" in picked.stdout and "look 1" in picked.stdout
    assert len((study.path / "sealed.jsonl").read_text(encoding="utf-8").splitlines()) == 1

    uri = f"sqlite:///{study.path.parent / 'mlflow.db'}"
    version = mlflow.MlflowClient(uri).get_model_version_by_alias("face-anonymizer", "balanced")
    assert "Not guaranteed" in version.description and "sealed people" in version.description
    (registered,), (look,) = registrations(study), sealed_looks(study)
    assert (registered.version, registered.trial, registered.look, look.refused) == (str(version.version), 2, 1, None)
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model("models:/face-anonymizer@balanced")
    assert model.metadata.metadata["files_sha256"] == registered.files_sha256
    assert model.metadata.metadata["contract"]["detector"] == "yunet"
    record = study.record(2)
    assert record is not None
    trainable = trainables.get(record.trainable)()
    anonymizer = trainable.load(trainable.Config.parse(record.params, "test"), study.trial(2))
    faces = sealed_faces()
    with torch.inference_mode():
        expected = tensor_to_images(anonymizer(faces.batch([0, 1])))
    served = model.predict(faces.crops[:2].transpose(0, 2, 3, 1))
    assert served.shape == (2, 112, 112, 3) and served.dtype == np.uint8
    # The model measures landmarks itself, on the same crops: rounding of the stored ones may move a pixel.
    assert np.abs(served.transpose(0, 3, 1, 2).astype(int) - expected).mean() < 1.0

    photo, out = astronaut(), study.path.parent / "anonymized"
    cv2.imwrite(str(study.path.parent / "astronaut.png"), photo)
    model = ["--model", "face-anonymizer@balanced", "--root", root]
    done = call_veil("anonymize", str(study.path.parent / "astronaut.png"), str(out), *model)
    assert done.returncode == 0 and "1 anonymized, 0 blacked out" in done.stdout, done.stdout + done.stderr
    change = np.abs(cv2.imread(str(out / "astronaut.png")).astype(int) - photo).max(axis=2)
    assert (change[90:150, 195:250] > 0).mean() > 0.9 and not change[:, 320:].any() and not change[210:].any()


def astronaut() -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


def sealed_faces() -> FaceTable:
    return FaceTable.load(prepare(DataConfig(), cache_folder(), progress=lambda done, total: None)).split("sealed")


@pytest.mark.usefixtures("short_ladder")
def test_budget_broken_on_sealed_people_registers_nothing(study: StudyFolder, tmp_path: Path) -> None:
    # The record claims a lower leak than the anonymizer has, as a lucky search score would.
    record = study.record(0)
    assert record is not None
    lucky = record.objectives["leak"].model_copy(update={"value": 0.05, "low": 0.0, "high": 0.1})
    claimed = record.model_copy(update={"objectives": {**record.objectives, "leak": lucky}})
    original = study.record_path(0).read_text(encoding="utf-8")
    study.write_record(claimed)
    try:
        result = call_veil(
            "pick", "tiny", "--root", str(study.path.parent), "--max-leak", "0.1", "--register", "lucky@best"
        )
    finally:
        study.record_path(0).write_text(original, encoding="utf-8")
    assert result.returncode == ExitStatus.REFUSED
    assert "breaks the budget" in result.stderr and "nothing is registered" in result.stderr
    client = mlflow.MlflowClient(f"sqlite:///{study.path.parent / 'mlflow.db'}")
    assert not client.search_registered_models("name = 'lucky'")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    result = run_veil("sweep", "--set", f"root={tmp_path / 'studies'}", "--set", "search.space=analytic")
    assert result.returncode == 2 and "--set root=FOLDER" in result.stderr
