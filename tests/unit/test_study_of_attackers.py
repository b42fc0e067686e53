"""A study of attackers is no study of anonymizers: its trials make curves, never a frontier, and are never picked."""

import io
from pathlib import Path

import pytest
from mlflow import MlflowClient
from rich.console import Console

from veil.config import StudyConfig
from veil.errors import ConfigError, ProtocolError
from veil.picking import Budget, pick_point
from veil.points import frontier_point, robustness_point
from veil.protocol.score import Estimate, RungScore, TrialScore
from veil.records import Manifest, TrialRecord
from veil.reporting import print_robustness, print_study, study_page, study_points, write_study_page
from veil.study import StudyFolder
from veil.tracking import Tracker

MANIFEST = Manifest(
    space="attackers", base_hash="b", suite_hash="study", data_hash="d", contract_hash="c", objectives=("leak",)
)
TARS = {"control": 0.99, "naive": 0.2, "parrot": 0.5, "informed/open_set/naive": 0.4, "informed/closed_set": 0.7}
KNEE = Budget(max_leak=None, min_utility=None, knee=True, trial=None)


def rung(name: str, tar: float) -> RungScore:
    return RungScore(
        name=name,
        rung={"control": "A0", "naive": "A1", "parrot": "A3"}.get(name, "A4"),
        recognizer="sface",
        tar=Estimate(value=tar, low=tar - 0.1, high=tar),
        eer=0.1,
        auc=0.9,
        rank_1=0.8,
        rank_5=0.9,
        n_identities=10,
        n_genuine=450,
        n_impostor=4500,
        floor_mean=0.01,
        floor_95=0.02,
    )


def record(number: int, strength: dict, label: str = "blur 31", state: str = "valid") -> TrialRecord:
    objectives = {name: Estimate(value=0.7, low=0.6, high=0.8) for name in ("leak", "utility")}
    score = TrialScore(
        valid=state == "valid",
        reason=None if state == "valid" else "the heads learned nothing",
        rungs=tuple(rung(name, tar) for name, tar in TARS.items()),
        objectives=objectives,
        target_split="search",
        n_images=100,
        undetected=0,
        suite_hash=f"of trial {number}",
        data_hash="d",
        contract_hash="c",
    )
    return TrialRecord(
        number=number,
        state=state,
        trainable="robustness",
        family="robustness",
        label=f"{label} · informed epochs={number}" if strength else label,
        objectives=objectives if state == "valid" else {},
        strength=strength,
        score=score,
        reason=score.reason,
    )


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    config = StudyConfig.parse({"study": "s", "root": str(tmp_path), "search": {"objectives": ["leak"]}}, "test")
    folder = StudyFolder(config.folder)
    folder.create(config, MANIFEST)
    for number in (10, 150):
        folder.write_record(record(number, {"informed": {"epochs": number}}))
    folder.write_record(record(1, {"informed": {"epochs": 1}}, state="invalid"))
    return folder


def shown(show, folder: StudyFolder) -> str:
    console = Console(file=io.StringIO(), width=160)
    show(folder.config(), folder, console)
    return console.file.getvalue()


def test_record_becomes_the_attackers_worst_comparison_beside_what_learns_nothing() -> None:
    point = robustness_point(record(7, {"informed": {"epochs": 7}}))
    assert (point.anonymizer, point.attacker, point.strength) == ("blur 31", "informed", {"epochs": 7})
    assert (point.comparison, tuple(point.leak), point.floor_95) == ("informed/closed_set", (0.7, 0.6, 0.7), 0.02)
    assert {name: reference.value for name, reference in point.references.items()} == {"naive": 0.2, "parrot": 0.5}


def test_such_a_record_is_no_point_of_a_frontier(folder: StudyFolder) -> None:
    with pytest.raises(ProtocolError, match="judged by informed at a strength of its own.*compares with no other"):
        frontier_point(record(7, {"informed": {"epochs": 7}}))
    folder.write_record(record(8, {}))
    assert [point.trial for point in study_points(folder)] == [8]


@pytest.mark.parametrize(("budget", "what"), [(KNEE, "every trial"), (KNEE._replace(trial=10), "trial 10")])
def test_it_is_never_picked(folder: StudyFolder, budget: Budget, what: str) -> None:
    with pytest.raises(ConfigError, match=f"nothing to pick: {what} of study 's' was judged by one attacker"):
        pick_point(folder, budget, None, Console(file=io.StringIO()))
    assert not (folder.path / "sealed.jsonl").exists()


def test_study_shows_its_curves_and_what_failed(folder: StudyFolder) -> None:
    text = shown(print_study, folder)
    assert "blur 31, attacked by informed" in text and text.index(" 10 ") < text.index(" 150 ")
    assert "0.70 [0.60, 0.70]" in text and "✗ trial 1 blur 31 · informed epochs=1: the heads learned nothing" in text
    page = write_study_page(folder.config(), folder)
    assert page == study_page(folder) == folder.path / "robustness.html"
    assert "the heads learned nothing" in page.read_text(encoding="utf-8")
    assert not folder.page_path.exists()


def test_study_of_anonymizers_has_no_curves(tmp_path: Path) -> None:
    config = StudyConfig(study="plain", root=tmp_path)
    folder = StudyFolder(config.folder)
    folder.create(config, MANIFEST)
    folder.write_record(record(0, {}))
    with pytest.raises(ConfigError, match="veil sweep --preset attackers"):
        shown(print_robustness, folder)
    assert write_study_page(config, folder) == folder.path / "frontier.html"


def test_runs_carry_the_hashes_of_what_judged_them(folder: StudyFolder) -> None:
    config = folder.config()
    tracker = Tracker(config, MANIFEST)
    strength = {"informed": {"epochs": 10}}
    crops = record(30, {}).model_copy(update={"detector": "mtcnn", "training_faces": {"people": 12, "extra": 3}})
    crops = crops.model_copy(update={"score": crops.score.model_copy(update={"contract_hash": "of mtcnn"})})
    for finished in (record(10, strength), record(20, {}), crops):
        tracker.log_trial(finished, folder)
    client = MlflowClient(f"sqlite:///{config.root / 'mlflow.db'}")
    runs = client.search_runs([tracker.experiment_id], "tags.`veil.kind` != 'sweep'")
    names = ("veil.trial", "veil.suite_hash", "veil.contract_hash")
    tags = {tuple(run.data.tags[name] for name in names) for run in runs}
    assert tags == {("10", "of trial 10", "c"), ("20", "study", "c"), ("30", "study", "of mtcnn")}
    assert len(runs) == 3 * (1 + len(TARS))
    (trained,) = [run for run in runs if "veil.training_faces" in run.data.tags]
    assert trained.data.tags["veil.training_faces"] == "12 people, 3 extra"
    assert trained.data.metrics["training_faces/extra"] == 3
