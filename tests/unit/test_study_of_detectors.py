"""A study of detectors is no study of anonymizers: its trials are compared by detector, and are never picked."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from veil.config import StudyConfig
from veil.errors import ConfigError, ProtocolError
from veil.picking import Budget, pick_point
from veil.points import frontier_point, sensitivity_point
from veil.protocol.measurement import Spread
from veil.protocol.score import Estimate, RungScore, TrialScore
from veil.records import Manifest, TrialRecord
from veil.reporting import face_counts, print_sensitivity, print_study, study_page, study_points, write_study_page
from veil.study import StudyFolder

MANIFEST = Manifest(
    space="detectors", base_hash="b", suite_hash="s", data_hash="d", contract_hash="c",
    objectives=("leak", "utility"),
)  # fmt: skip
PEOPLE = 10
CONTROLS = {"sface": 0.97, "other": 0.99}


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.1, high=min(value + 0.1, 1.0))


def control(recognizer: str, tar: float) -> RungScore:
    return RungScore(
        name="control", rung="A0", recognizer=recognizer, tar=estimate(tar), eer=0.1, auc=0.9, rank_1=0.8, rank_5=0.9,
        n_identities=PEOPLE, n_genuine=450, n_impostor=4500, floor_mean=0.01, floor_95=0.02,
    )  # fmt: skip


def record(number: int, detector: str | None, leak: float = 0.5, state: str = "valid") -> TrialRecord:
    objectives = {"leak": estimate(leak), "utility": estimate(0.6)}
    score = TrialScore(
        valid=state == "valid",
        rungs=tuple(control(*item) for item in CONTROLS.items()),
        objectives=objectives,
        target_split="search",
        n_images=97,
        undetected=2,
        without_landmarks=1,
        suite_hash="s",
        data_hash=f"faces by {detector}",
        contract_hash=f"contract of {detector}",
    )
    return TrialRecord(
        number=number,
        state=state,
        trainable="sensitivity" if detector else "baseline",
        family="sensitivity",
        label=f"blur 31 · {detector}" if detector else "blur 31",
        objectives=objectives if state == "valid" else {},
        detector=detector,
        score=score if state == "valid" else None,
        reason=None if state == "valid" else "the detector 'scrfd' is left out: its weights are missing",
    )


def spreads(leak: float) -> dict[str, Spread]:
    values = leak + np.linspace(-0.02, 0.02, PEOPLE) ** 2
    return dict.fromkeys(("control", "leak", "utility"), Spread(values, values))


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    config = StudyConfig(study="s", root=tmp_path)
    folder = StudyFolder(config.folder)
    folder.create(config, MANIFEST)
    for number, (detector, leak) in enumerate((("mtcnn", 0.4), ("yunet", 0.5))):
        folder.write_record(record(number, detector, leak))
        folder.write_spreads(number, spreads(leak))
    folder.write_record(record(2, "scrfd", state="invalid"))
    return folder


def shown(show, folder: StudyFolder) -> str:
    console = Console(file=io.StringIO(), width=160)
    show(folder.config(), folder, console)
    return console.file.getvalue()


def test_record_becomes_a_row_with_the_weakest_control_and_every_image_counted() -> None:
    point = sensitivity_point(record(7, "mtcnn"), spreads(0.5))
    assert (point.anonymizer, point.detector, point.found, point.images) == ("blur 31", "mtcnn", 97, 100)
    assert point.values["control"].value == 0.97 and point.values["leak"].value == 0.5
    assert point.contract_hash == "contract of mtcnn" and point.left_out["utility"].shape == (PEOPLE,)


def test_such_a_record_is_no_point_of_a_frontier_and_never_picked(folder: StudyFolder) -> None:
    with pytest.raises(ProtocolError, match="faces that the detector 'mtcnn' found.*veil sensitivity"):
        frontier_point(record(7, "mtcnn"))
    knee = Budget(max_leak=None, min_utility=None, knee=True, trial=None)
    for budget, what in ((knee, "every trial"), (knee._replace(trial=1), "trial 1")):
        with pytest.raises(ConfigError, match=f"nothing to pick: {what} of study 's' was judged on crops of its own"):
            pick_point(folder, budget, None, Console(file=io.StringIO()))
    folder.write_record(record(8, None))
    assert [point.trial for point in study_points(folder)] == [8]


def test_study_shows_its_detectors_and_names_the_one_that_was_left_out(folder: StudyFolder) -> None:
    text = shown(print_study, folder)
    assert text.index("yunet (reference)") < text.index("mtcnn") and "97 of 100" in text
    assert "-0.10 [" in text and "✗ trial 2 blur 31 · scrfd: the detector 'scrfd' is left out" in text
    page = write_study_page(folder.config(), folder)
    assert page == study_page(folder) == folder.path / "sensitivity.html"
    assert "weights are missing" in page.read_text(encoding="utf-8") and not folder.page_path.exists()


def test_study_of_anonymizers_has_no_detectors_to_compare(tmp_path: Path) -> None:
    config = StudyConfig(study="plain", root=tmp_path)
    folder = StudyFolder(config.folder)
    folder.create(config, MANIFEST)
    folder.write_record(record(0, None))
    with pytest.raises(ConfigError, match="veil sweep --preset detectors"):
        shown(print_sensitivity, folder)
    assert write_study_page(config, folder) == folder.path / "frontier.html"


def test_what_is_missing_of_faces_is_counted_once_for_all_trials_alike() -> None:
    alike = [record(number, None) for number in range(3)]
    assert face_counts(alike) == ["faces under attack: 2 without a face, 1 without landmarks"]
    counts = {"people": 12, "extra": 3, "low_resolution": 0, "without_head_pose": 2}
    trained = alike[1].model_copy(update={"training_faces": counts})
    plain = alike[2].model_copy(update={"training_faces": {"people": 12, "extra": 0}})
    assert face_counts([alike[0], trained, plain])[1:] == [
        "training faces: 12 people, 3 extra, 2 without head pose (trial 1)"
    ]
