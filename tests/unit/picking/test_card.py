"""The card says what was measured, by whom, how often people were looked at, and what is not promised."""

from pathlib import Path

from picking_study import make_score

from veil.config import ExtraFacesConfig
from veil.picking.card import model_card
from veil.protocol.full_ladder import sealed_suite
from veil.sealed import SealedLook, log_look
from veil.tracking.models import MAX_DESCRIPTION, _description
from veil.tracking.packing import Pack, files_sha256

YUNET = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"


def test_everything_a_reader_must_know(study):
    score = make_score(0.09, 0.80, "sealed").model_copy(
        update={"models": {"recognizer/dlib_resnet": "f" * 64, "detector/yunet": YUNET}}
    )
    look = SealedLook(time="t", trial=2, label="blur 2", asked="--knee", score=score, run_id="run7")
    for item in (look.model_copy(update={"refused": "it breaks"}), look):
        number = log_look(study.folder, item)
    data = study.config.data.model_copy(update={"extra": (ExtraFacesConfig(dataset="fer2013", root=Path("f.zip")),)})
    suite = sealed_suite(study.config.suite, study.config.sealed)
    config = study.config.model_copy(update={"suite": suite, "data": data})
    record = study.folder.record(2).model_copy(update={"training_faces": {"pool": 12}, "notes": ("Mind the gap.",)})
    pack = Pack(
        Path("point"),
        Path("serving.py"),
        (),
        (Path("/a/face_landmark_68_model.bin"), Path("/a/own.onnx")),
        (),
        (),
        "ab" * 32,
    )
    card = model_card(record, look, number, config, study.folder, pack)

    assert "## Not guaranteed" in card
    assert "Scored on 10 sealed people (100 images)" in card and "3 seeds each" in card
    assert "looked at 2 times when this was written; this is look 2. Refused so far: 1." in card
    assert "**0.09 [0.07, 0.11]**, by `informed/closed_set/seed1`" in card and "**0.80 [0.78, 0.82]**" in card
    assert "| A4 | informed | 1 | informed/closed_set/seed1 (dlib_resnet) | 0.09 [0.07, 0.11] | 0.02 |" in card
    assert "chosen by `--knee`" in card and "`run7`" in card and "abababababababab" in card
    assert "photographs of 12 real people" in card and "- Mind the gap." in card
    assert "data, orl: " in card and "data, fer2013: " in card
    assert f"detector/yunet, `{YUNET[:16]}`: MIT" in card
    assert "recognizer/dlib_resnet, `ffffffffffffffff`: its terms are not known to Veil" in card
    assert "carried/own.onnx, `your own file`: its terms are not known to Veil" in card
    assert "teacher/fer_resnet, " in card and "FER-2013, which is for research use" in card
    assert "kernel: 15" in card and "epochs: 12.0" in card


def test_a_registry_keeps_whole_lines_of_a_long_card():
    card = "\n".join(f"line {number}" for number in range(2000))
    kept = _description(card)
    assert len(kept) <= MAX_DESCRIPTION and kept.startswith("line 0\n") and kept.endswith("artifact `card/card.md`.")
    assert set(kept.split("\n\n…")[0].splitlines()) <= set(card.splitlines())
    assert _description("short") == "short"


def test_the_digest_of_a_model_knows_its_code_and_nets_and_nothing_else(tmp_path):
    for name in ("code/veil/a.py", "artifacts/point/point.json", "serving.py", "artifacts/card/card.md", "MLmodel"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    before = files_sha256(tmp_path)
    (tmp_path / "artifacts/card/card.md").write_text("other", encoding="utf-8")
    (tmp_path / "code/veil/__pycache__").mkdir()
    (tmp_path / "code/veil/__pycache__/a.pyc").write_bytes(b"x")
    assert files_sha256(tmp_path) == before
    for name in ("code/veil/a.py", "artifacts/point/point.json", "serving.py"):
        (tmp_path / name).write_text("other", encoding="utf-8")
        after = files_sha256(tmp_path)
        assert after != before
        before = after
    (tmp_path / "code/veil/a.py").rename(tmp_path / "code/veil/b.py")
    assert files_sha256(tmp_path) != before
