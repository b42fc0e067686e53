"""Whole files in a world of red faces: everything but the nets is the real thing."""

import errno
import json
import os

import cv2
import numpy as np
import pytest
from red_faces import SIDE, picture, red_anonymizer

from veil.anonymizing.jobs import list_jobs
from veil.anonymizing.manifest import NAME, Manifest
from veil.anonymizing.run import Run, make_recipe
from veil.errors import ConfigError, DataError


def _run(source, out, *, faces=None, on_missing="blackout", overwrite=False, wanted="same"):
    """Entries of the files that were worked on, by input name."""
    faces = faces or red_anonymizer()
    jobs = list_jobs(source, out, wanted)
    out.mkdir(exist_ok=True)
    run = Run(faces, make_recipe(faces, on_missing, "drop", wanted), Manifest(jobs.folder), overwrite)
    run.check(jobs)
    entries = [run.anonymize(job, lambda done, total: None) for job in jobs.jobs]
    return {entry.input: entry for entry in entries if entry is not None}


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    cv2.imwrite(str(folder / "two.png"), picture((40, 50), (200, 60)))
    cv2.imwrite(str(folder / "deep" / "none.png"), picture())
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def test_faces_change_the_rest_does_not_and_a_broken_file_stops_nothing(photos, tmp_path):
    before = {path: path.read_bytes() for path in photos.rglob("*.*")}
    entries = _run(photos, tmp_path / "out")
    clear, made = cv2.imread(str(photos / "two.png")), cv2.imread(str(tmp_path / "out" / "two.png"))
    for x in (40, 200):
        y = 50 if x == 40 else 60
        middle = made[y + 14 : y + 42, x + 14 : x + 42]
        assert (middle == [255, 255, 0]).all()  # the opposite of red, BGR
    outside = np.ones(clear.shape[:2], bool)
    for x, y in ((40, 50), (200, 60)):
        outside[y - 1 : y + SIDE + 1, x - 1 : x + SIDE + 1] = False
    assert np.array_equal(made[outside], clear[outside])
    assert not cv2.imread(str(tmp_path / "out" / "deep" / "none.png")).any()
    assert not (tmp_path / "out" / "broken.jpg").exists()
    assert (entries["two.png"].anonymized, entries["two.png"].blacked_out) == (2, 0)
    assert entries["deep/none.png"].black == 1 and entries["broken.jpg"].refused == "not an image"
    assert before == {path: path.read_bytes() for path in photos.rglob("*.*")}


@pytest.mark.parametrize(
    ("faces", "size", "reason"),
    [
        (red_anonymizer(fails=True), SIDE, "the model inverter@test failed"),
        (red_anonymizer(idle=True), SIDE, "the model returned the face unchanged"),
        (red_anonymizer(), 12, "smaller than 20 px"),
    ],
)
def test_a_face_that_cannot_be_anonymized_is_black_and_named(tmp_path, faces, size, reason):
    photo = picture()
    cv2.rectangle(photo, (60, 50), (60 + size - 1, 50 + size - 1), (0, 0, 255), -1)
    cv2.imwrite(str(tmp_path / "in.png"), photo)
    entry = _run(tmp_path / "in.png", tmp_path / "out", faces=faces)["in.png"]
    made = cv2.imread(str(tmp_path / "out" / "in.png"))
    margin = int(0.3 * size)
    assert not made[50 - margin : 50 + size + margin, 60 - margin : 60 + size + margin].any()
    assert np.array_equal(made[:, 200:], photo[:, 200:])
    assert (entry.anonymized, entry.blacked_out, entry.faces[0]["reason"]) == (0, 1, reason)
    refused = _run(tmp_path / "in.png", tmp_path / "strict", faces=faces, on_missing="fail")["in.png"]
    assert reason in refused.refused and not (tmp_path / "strict" / "in.png").exists()


def test_a_face_that_only_a_look_at_the_result_finds_is_black():
    faces, made = red_anonymizer(), picture((40, 50), (200, 60))
    _, treated = faces.anonymize(picture((40, 50)))
    (later,) = faces.second_look(made, treated)
    assert (later.treatment, later.reason) == ("blacked out", "seen only in the result")
    assert later.box.holds(228, 88) and not later.box.holds(68, 78)
    assert not made[60 : 60 + SIDE, 200 : 200 + SIDE].any() and made[78, 68].any()


def test_fail_writes_nothing_that_would_be_black(photos, tmp_path):
    entries = _run(photos, tmp_path / "out", on_missing="fail")
    assert entries["two.png"].refused is None
    assert entries["deep/none.png"].refused.startswith("no face found")
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["two.png"]


def test_what_is_done_is_skipped_what_changed_is_made_anew_and_what_is_not_ours_is_left(photos, tmp_path):
    out = tmp_path / "out"
    first = _run(photos, out)
    assert len(first) == 3
    assert list(_run(photos, out)) == ["broken.jpg"]  # what was refused is tried again
    cv2.imwrite(str(photos / "two.png"), picture((100, 50)))
    assert _run(photos, out)["two.png"].anonymized == 1
    (out / "two.png").write_bytes(b"edited by hand")
    assert "is not what Veil wrote" in _run(photos, out)["two.png"].refused
    assert (out / "two.png").read_bytes() == b"edited by hand"
    assert _run(photos, out, overwrite=True)["two.png"].refused is None
    (out / "two.png").unlink()
    assert _run(photos, out)["two.png"].anonymized == 1
    with pytest.raises(ConfigError, match="on_missing: blackout there, fail now"):
        _run(photos, out, on_missing="fail")


def test_the_manifest_survives_a_killed_process_and_a_full_disk(photos, tmp_path, monkeypatch):
    out = tmp_path / "out"
    _run(photos, out)
    whole = (out / NAME).read_bytes()
    (out / NAME).write_bytes(whole + b'{"time":"20')
    Manifest(out)
    assert (out / NAME).read_bytes() == whole

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (out / "two.png").unlink()
    with pytest.raises(DataError, match="No space left on device"):
        _run(photos, out)
    assert (out / NAME).read_bytes() == whole
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
    (out / NAME).write_text("my own notes\n")
    with pytest.raises(ConfigError, match="no entry of a manifest"):
        Manifest(out)


def test_the_manifest_holds_hashes_places_and_reasons_and_nothing_of_a_face(photos, tmp_path):
    _run(photos, tmp_path / "out")
    entries = [json.loads(line) for line in (tmp_path / "out" / NAME).read_text().splitlines()]
    keys = {key for entry in entries for key in entry} | {
        key for entry in entries for face in entry["faces"] for key in face
    }
    assert keys == {
        *("time", "input", "input_sha256", "output", "output_sha256", "refused", "recipe", "anonymized"),
        *("blacked_out", "black", "faces", "notes", "box", "treatment", "reason"),
    }
    assert all(entry["recipe"]["files_sha256"] == "ab" * 32 for entry in entries)
