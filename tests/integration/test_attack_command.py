"""`veil attack` as a user runs it: on a filter, on a trial's folder, and on two folders of true photographs."""

import json
import re
import shutil
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pytest
from orl_crops import require_assets
from typer.testing import CliRunner, Result

from veil.cli import app
from veil.config import StudyConfig
from veil.errors import ConfigError, DataError, ProtocolError, TrackingError, VeilError
from veil.faces.images import decode_image
from veil.protocol.score import Estimate, RungScore, TrialScore
from veil.records import Manifest, TrialRecord
from veil.registry import datasets
from veil.serving import PointDescription
from veil.study import StudyFolder
from veil.tracking import Tracker
from veil.tracking.models import ModelName, register_model
from veil.tracking.packing import pack_point

PEOPLE, IMAGES = 7, 5
QUICK = ("--attackers", "naive,parrot", "--recognizer", "sface")
# 5 people under attack have 250 pairs of different people.
LENIENT = tuple(
    part
    for setting in ("far=0.05", "min_false_accepts=12", "bootstrap_replicates=100", "floor_permutations=40")
    for part in ("--set", f"suite.{setting}")
)

pytestmark = pytest.mark.timeout(300)


def attack(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["attack", *map(str, arguments)])


def refused(*arguments: object) -> VeilError:
    result = attack(*arguments)
    assert isinstance(result.exception, VeilError), (result.exception, result.output)
    return result.exception


def score_of(path: Path) -> TrialScore:
    return TrialScore.model_validate_json(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few people of ORL as PNG, one folder a person."""
    require_assets("orl_faces", "yunet", "sface", "face_api_landmark_68_bin", "face_api_expression_bin")
    root = tmp_path_factory.mktemp("photographs")
    for image in datasets.get("orl")(None).images:
        person, number = (int(part.lstrip("s")) for part in image.image_id.split("/"))
        if person <= PEOPLE and number <= IMAGES:
            path = root / f"s{person}" / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            assert cv2.imwrite(str(path), decode_image(image.read()))
    return root


def publish(photographs: Path, folder: Path, change: object) -> Path:
    """The same photographs, changed, twice as large, under another extension."""
    for path in sorted(photographs.rglob("*.png")):
        pixels = cv2.imread(str(path))
        assert pixels is not None and callable(change)
        out = (folder / path.relative_to(photographs)).with_suffix(".jpg")
        out.parent.mkdir(parents=True, exist_ok=True)
        larger = cv2.resize(change(pixels), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(out), larger, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return folder


@pytest.mark.data
@pytest.mark.slow
def test_photographs_that_hide_nothing_leak_everything(photographs: Path, tmp_path: Path) -> None:
    same = publish(photographs, tmp_path / "same", lambda pixels: pixels)
    (same / "s1/5.jpg").unlink()
    out = tmp_path / "out"
    result = attack("--clear", photographs, "--anonymized", same, *QUICK, *LENIENT, "--out", out, "--pictures")
    assert result.exit_code == 0, result.output
    score = score_of(out / "score.json")
    assert score.valid and score.objectives["leak"].value > 0.95
    assert score.recognizers["sface"].cosine > 0.9, "enlarged photographs are cut in the same place"
    assert score.detection is not None and score.detection.anonymized == score.detection.clear == 1.0
    assert {rung.name for rung in score.rungs} == {"control", "naive", "parrot"}
    text = " ".join(result.output.split())
    assert "5 people are under attack; the attacker learns from 2 others (1 fewer than usual" in text
    assert "1 clear photographs have no partner: s1/5." in text
    assert f"links {100 * score.objectives['leak'].value:.0f} %" in text
    page = (out / "attack.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") >= 10
    assert {path.name for path in out.iterdir()} == {"attack.html", "score.json", "roc.png", "cmc.png"}


@pytest.mark.data
@pytest.mark.slow
def test_black_photographs_leak_nothing_but_chance(photographs: Path, tmp_path: Path) -> None:
    black = publish(photographs, tmp_path / "black", np.zeros_like)
    card = tmp_path / "card.json"
    result = attack("--clear", photographs, "--anonymized", black, *QUICK, *LENIENT, "--json", card)
    assert result.exit_code == 0, result.output
    score = score_of(card)
    assert score.objectives["leak"].value == pytest.approx(0.05, abs=0.02)
    assert "cannot be told apart from guessing" in " ".join(result.output.split())
    assert score.detection is not None and score.detection.anonymized == 0.0


@pytest.mark.data
@pytest.mark.slow
def test_an_invalid_score_exits_with_3_and_says_why(photographs: Path, tmp_path: Path) -> None:
    """Folders that hold one photograph of each of several people, so that even clear ones match nobody."""
    mixed, card = tmp_path / "mixed", tmp_path / "card.json"
    for path in photographs.rglob("*.png"):
        person, number = int(path.parent.name.lstrip("s")), int(path.stem)
        out = mixed / f"p{(person + number) % PEOPLE}" / f"{person}.png"
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, out)
    result = attack("--clear", mixed, "--anonymized", mixed, *QUICK, *LENIENT, "--json", card)
    assert result.exit_code == 3, result.output
    score = score_of(card)
    assert not score.valid and score.objectives == {}
    assert "control" in str(score.reason)
    assert "no valid score" in result.output and "strongest attacker" not in result.output


@pytest.mark.data
@pytest.mark.slow
def test_a_registered_filter(tmp_path: Path) -> None:
    require_assets("orl_faces", "yunet", "sface", "face_api_landmark_68_bin", "face_api_expression_bin")
    card = tmp_path / "card.json"
    result = attack("pixelate:block=16", *QUICK, "--json", card)
    assert result.exit_code == 0, result.output
    assert "pixelate block=16, TAR at FAR 0.01" in result.output
    score = score_of(card)
    tars = {rung.name: rung.tar.value for rung in score.rungs}
    assert tars["naive"] < 0.2 < tars["parrot"] == score.objectives["leak"].value


def write_trial(root: Path) -> tuple[StudyConfig, Manifest, TrialRecord]:
    """A study of one finished trial: blur 51."""
    config = StudyConfig(study="mine", root=root)
    manifest = Manifest(
        space="smoke", base_hash="", suite_hash="", data_hash=None, contract_hash=None, objectives=("leak", "utility")
    )
    sure = Estimate(value=0.5, low=0.4, high=0.6)
    rung = RungScore(
        name="naive", rung="A1", recognizer="sface", tar=sure, eer=0.1, auc=0.9, rank_1=1, rank_5=1, n_identities=10,
        n_genuine=450, n_impostor=4500, floor_mean=0.01, floor_95=0.02,
    )  # fmt: skip
    score = TrialScore(
        valid=True, rungs=(rung,), objectives={"leak": sure, "utility": sure}, target_split="search", n_images=100,
        undetected=0, suite_hash="", data_hash="", contract_hash="",
    )  # fmt: skip
    record = TrialRecord(
        number=4, state="valid", trainable="baseline", family="classical", label="blur 51",
        params={"method": "blur", "kernel": 51}, objectives=score.objectives, score=score,
    )  # fmt: skip
    StudyFolder(config.folder).create(config, manifest)
    StudyFolder(config.folder).write_record(record)
    return config, manifest, record


@pytest.mark.data
@pytest.mark.slow
def test_a_trial_and_the_model_registered_from_it_score_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_assets("orl_faces", "yunet", "sface", "mobilefacenet_tflite", "face_api_expression_bin")
    config, manifest, record = write_trial(tmp_path)
    folder = StudyFolder(config.folder)
    tracker = Tracker(config, manifest)
    tracker.log_trial(record, folder)
    assert record.score is not None
    described = PointDescription(
        trainable=record.trainable, params=record.params, parsing="polygons", parsing_sha256=""
    )
    crops = np.zeros((1, 112, 112, 3), np.uint8)
    pack = pack_point(tmp_path / "pack", described, record, folder.trial(4), (), crops)
    metadata = {"study": "mine", "trial": 4, "crop_contract": ""}
    name = ModelName("faces", "good")
    register_model(tracker.uri, tracker.trial_run_id(4), name, pack, metadata, "# card", record.score)
    shutil.rmtree(pack.point.with_name("card"))
    other = {**metadata, "crop_contract": "0123456789abcdef"}
    register_model(
        tracker.uri, tracker.trial_run_id(4), ModelName("faces", "other"), pack, other, "# card", record.score
    )
    # As in a process of its own: the registry is the study's, not whatever was used last or lies in this folder.
    mlflow.set_tracking_uri("")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    scores = []
    for model in (folder.trial(4), "models:/faces@good"):
        result = attack(model, *QUICK, "--set", f"root={tmp_path}", "--json", tmp_path / "card.json")
        assert result.exit_code == 0, result.output
        assert "blur 51 (trial 4 of study mine)" in " ".join(result.output.split())
        scores.append(score_of(tmp_path / "card.json"))
    assert scores[0].rungs == scores[1].rungs and scores[0].objectives == scores[1].objectives
    assert set(scores[0].proxy) == {"mobilefacenet"}, "what was inside the loss is read, and attacks nothing"
    assert not list((tmp_path / "elsewhere").iterdir()), "no other database is made"
    foreign = refused("models:/faces@other", *QUICK, "--set", f"root={tmp_path}")
    assert isinstance(foreign, ProtocolError) and "made for crops of contract 0123456789abcdef" in str(foreign)
    missing = refused("models:/nobody@good", "--set", f"root={tmp_path}")
    assert isinstance(missing, TrackingError) and "models:/nobody@good" in str(missing)


@pytest.mark.data
def test_a_recognizer_from_inside_the_loss_cannot_attack(tmp_path: Path) -> None:
    require_assets("orl_faces", "yunet", "mobilefacenet_tflite", "face_api_expression_bin")
    config, _, _ = write_trial(tmp_path)
    error = refused(StudyFolder(config.folder).trial(4), "--recognizer", "mobilefacenet")
    assert isinstance(error, ProtocolError) and "inside the loss" in str(error)


def test_what_is_attacked_must_be_said_once(tmp_path: Path) -> None:
    for arguments in (
        (),
        ("--clear", tmp_path),
        ("--anonymized", tmp_path),
        ("blur", "--clear", tmp_path, "--anonymized", tmp_path),
    ):
        error = refused(*arguments)
        assert isinstance(error, ConfigError) and "either MODEL, or both" in str(error)


def test_bad_input_is_one_clear_error(tmp_path: Path) -> None:
    for person in ("ann", "bob"):
        (tmp_path / "two" / person).mkdir(parents=True)
        for number in range(3):
            pixels = np.random.default_rng(number + 10 * len(person)).integers(0, 255, (40, 30), np.uint8)
            cv2.imwrite(str(tmp_path / "two" / person / f"{number}.png"), pixels)
    (tmp_path / "empty").mkdir()
    two, empty = tmp_path / "two", tmp_path / "empty"
    for arguments, kind, message in (
        (("--clear", tmp_path / "no", "--anonymized", two), DataError, "--clear .* does not exist"),
        (("--clear", two, "--anonymized", empty), DataError, "--anonymized .* holds no photographs"),
        (("--clear", two, "--anonymized", two), DataError, "2 people .* expected at least 4"),
        (("blur", "--attackers", "parott"), ConfigError, "did you mean 'parrot'"),
        (("blur", "--recognizer", "sfase"), ConfigError, "did you mean 'sface'"),
        (("blur", "--open"), ConfigError, "--out FOLDER"),
        (("blur", "--set", "suite.fra=0.1"), ConfigError, "did you mean 'far'"),
        (("blur", "--out", two / "ann/0.png/x"), DataError, "cannot write"),
    ):
        error = refused(*arguments)
        assert isinstance(error, kind), error
        assert re.search(message, str(error)), error


def test_too_few_pairs_for_the_far_name_the_way_out(tmp_path: Path) -> None:
    for index in range(60):
        path = tmp_path / "people" / f"p{index % 6}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.random.default_rng(index).integers(0, 255, (40, 30), np.uint8))
    error = refused("--clear", tmp_path / "people", "--anonymized", tmp_path / "people")
    assert isinstance(error, ProtocolError)
    assert "600 pairs of different people" in str(error) and "at least 0.05" in str(error)


def test_a_trial_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(json.dumps({"number": 1}), encoding="utf-8")
    assert "setting 'state': Field required" in str(refused(tmp_path))
