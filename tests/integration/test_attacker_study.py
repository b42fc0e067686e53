"""A study of attackers on real faces: blur at two strengths, its curve, and who refuses to take it for a frontier."""

from pathlib import Path

import pytest
import yaml
from study_helpers import call_veil, mlflow_runs, run_veil

from veil.assets import fetch
from veil.errors import AssetError
from veil.study import StudyFolder

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A finished study of blur, at the default strength and with one enrolled image a person."""
    for asset in ("orl_faces", "sface", "mobilefacenet_tflite"):
        try:
            fetch(asset)
        except AssetError as error:
            pytest.skip(f"needs {asset}: {error}")
    root = tmp_path_factory.mktemp("studies")
    values = {
        "study": "strengths",
        "root": str(root),
        "search": {"space": "attackers", "trials": 2, "sampler": "random", "objectives": ["leak"]},
        "suite": {"bootstrap_replicates": 100, "floor_permutations": 20, "min_false_accepts": 5},
    }
    path = root / "strengths.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    result = run_veil("sweep", "--config", str(path), timeout=500)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "blur 31, attacked by informed" in result.stdout and "robustness.html" in result.stdout
    return StudyFolder(root / "strengths")


def test_each_trial_is_judged_by_its_own_suite(study: StudyFolder) -> None:
    records = study.records()
    assert [record.state for record in records] == ["valid"] * 2
    hashes = {}
    for record in records:
        assert record.score is not None
        assert {rung.name.split("/")[0] for rung in record.score.rungs} == {"control", "naive", "parrot", "informed"}
        hashes[record.number] = record.score.suite_hash
    strengths = [record.strength["informed"]["enrolment_images"] for record in records]
    assert strengths == [None, 1]
    assert hashes[0] != hashes[1]
    assert study.manifest().suite_hash not in hashes.values()
    assert {run.data.tags["veil.suite_hash"] for run in mlflow_runs(study, "trial")} == set(hashes.values())


def test_curves_are_shown_and_nothing_can_be_picked(study: StudyFolder, tmp_path: Path) -> None:
    root = str(study.path.parent)
    shown = call_veil("robustness", study.name, "--root", root)
    assert shown.returncode == 0, shown.stderr
    assert "enrolment_images" in shown.stdout and shown.stdout.index(" 1 ") < shown.stdout.index(" all ")
    answered = call_veil("report", study.name, "--root", root)
    assert answered.returncode == 0, answered.stderr
    assert "informed with enrolment_images=all instead of 1 changes" in " ".join(answered.stdout.split())
    frontier = call_veil("frontier", study.name, "--root", root)
    assert frontier.returncode == 2 and "veil robustness strengths" in " ".join(frontier.stderr.split())
    picked = call_veil("pick", study.name, "--root", root, "--knee")
    assert picked.returncode == 2 and "nothing to pick" in picked.stderr
    assert not study.page_path.exists()
