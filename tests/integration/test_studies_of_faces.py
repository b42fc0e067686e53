"""Studies of more than one table of faces: FER-2013 beside ORL, and the same people under every detector."""

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from orl_crops import require_assets
from study_helpers import call_veil, mlflow_runs, run_veil

from veil.assets import fetch
from veil.records import TrialRecord
from veil.study import StudyFolder

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(600)]

PEOPLE = range(1, 14)
SIDE = 36
TINY_GAN = {"images": 32, "warm_start_images": 0, "generator_width": 8, "discriminator_width": 8}
SUITE = {
    "attackers": ["control", "naive", "parrot"],
    "bootstrap_replicates": 100,
    "floor_permutations": 20,
    "min_false_accepts": 5,
    "labelled_images": 12,
}


@pytest.fixture(scope="module")
def orl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirteen people of ORL."""
    require_assets("orl_faces", "yunet", "sface", "mobilefacenet_tflite")
    root = tmp_path_factory.mktemp("orl")
    with zipfile.ZipFile(fetch("orl_faces")) as archive:
        for name in archive.namelist():
            *_, person, file = ["", *name.split("/")]
            if file.endswith(".pgm") and person in {f"s{number}" for number in PEOPLE}:
                (root / person).mkdir(exist_ok=True)
                (root / person / file).write_bytes(archive.read(name))
    return root


@pytest.fixture(scope="module")
def fer(orl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small copies of training people's faces in the folders of FER-2013; every second one smiles, says the label."""
    root = tmp_path_factory.mktemp("fer") / "fer2013"
    for number, path in enumerate(sorted(orl.glob("s1[0-3]/*.pgm"))):
        image = cv2.imread(str(path))
        assert image is not None
        part = "train" if number < 24 else "validation"
        folder = root / part / ("happy", "neutral")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(
            str(folder / f"{number}.png"), cv2.resize(image[10:102], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        )
    return root.parent


def sweep(folder: Path, name: str, orl: Path, search: dict, **data: object) -> StudyFolder:
    values = {
        "study": name,
        "root": str(folder),
        "data": {
            "dataset": "orl",
            "root": str(orl),
            "splits": {"train": 2, "attacker": 3, "search": 5, "sealed": 3},
            **data,
        },
        "suite": SUITE,
        "search": {"max_concurrent_trials": 1, **search},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    result = run_veil("sweep", "--config", str(path), timeout=500)
    assert result.returncode == 0, result.stdout + result.stderr
    return StudyFolder(folder / name)


def labelled(record: TrialRecord) -> dict[str, float]:
    assert record.score is not None
    score = record.score.labelled_sets["fer2013"]
    assert score.n_images == 12 and score.accuracy.low <= score.accuracy.value <= score.accuracy.high
    return {"agreement": score.top1_agreement.value, "low": score.low_resolution}


def test_extra_faces_train_and_measure_labelled_expressions(orl: Path, fer: Path, tmp_path: Path) -> None:
    search = {"space": "smoke", "trials": 2, "base": {"gan_anonymizer": TINY_GAN}}
    study = sweep(tmp_path, "beside", orl, search, extra=[{"dataset": "fer2013", "root": str(fer)}])
    blur, gan = study.records()
    assert (blur.state, gan.state) == ("valid", "valid"), (blur.reason, gan.reason)
    assert blur.training_faces == {}
    assert gan.training_faces["people"] == 20 and gan.training_faces["extra"] >= 20
    assert gan.training_faces["low_resolution"] == gan.training_faces["extra"], (
        "so small a source shows less than half of a crop"
    )
    assert labelled(blur)["low"] == 12
    assert blur.score is not None and study.manifest().data_hash != blur.score.data_hash, "all faces, people alone"
    report = tmp_path / "report.json"
    answered = call_veil("report", "--study", "beside", "--root", str(tmp_path), "--json", str(report))
    assert answered.returncode == 0, answered.stderr
    (section,) = json.loads(report.read_text())["sections"]
    assert section["rows"][0]["name"] == "blur 11 (classical, trial 0)" and (study.path / "report.html").is_file()
    runs = {run.data.tags["veil.trial"]: run for run in mlflow_runs(study, "trial")}
    assert runs["0"].data.metrics["labelled/fer2013/macro_f1_low"] >= 0
    assert runs["1"].data.metrics["training_faces/extra"] == gan.training_faces["extra"]


def test_the_same_people_under_every_detector(orl: Path, tmp_path: Path) -> None:
    search = {"space": "detectors", "trials": 5, "sampler": "random", "max_concurrent_trials": 2}
    study = sweep(tmp_path, "found", orl, search)
    records = {record.label: record for record in study.records()}
    assert len(records) == 5, "two of YuNet, two of it with jitter, and one of MTCNN"
    contracts = {}
    for label, record in records.items():
        assert record.detector == label.split(" · ")[1]
        assert record.state == "valid" and record.score is not None, record.reason
        contracts.setdefault(record.detector, record.score.contract_hash)
        assert record.score.contract_hash == contracts[record.detector]
    assert {"yunet", "yunet+jitter"} < set(contracts) and len(set(contracts.values())) == len(contracts)
    assert study.manifest().contract_hash == contracts["yunet"]

    root = str(tmp_path)
    shown = call_veil("sensitivity", "found", "--root", root)
    assert shown.returncode == 0, shown.stderr
    assert "yunet (reference)" in shown.stdout and "yunet+jitter" in shown.stdout and "50 of 50" in shown.stdout
    answered = call_veil("report", "found", "--root", root)
    assert answered.returncode == 0, answered.stderr
    assert "aligning by yunet+jitter instead of yunet changes" in " ".join(answered.stdout.split())
    frontier = call_veil("frontier", "found", "--root", root)
    assert frontier.returncode == 2 and "veil sensitivity found" in " ".join(frontier.stderr.split())
    blurred, jittered = (study.spreads(records[f"blur 31 · {name}"].number) for name in ("yunet", "yunet+jitter"))
    assert not np.array_equal(blurred["leak"].left_out, jittered["leak"].left_out)
