"""`veil anonymize` as a user meets it, in a world of red faces."""

import cv2
import pytest
from red_faces import picture, red_anonymizer
from study_helpers import call_veil

from veil.anonymizing.manifest import NAME


@pytest.fixture
def anonymize(tmp_path, monkeypatch):
    """Runs the command on a folder with a good photograph, a broken one, one without a face, and a text."""
    faces = red_anonymizer()
    monkeypatch.setattr("veil.anonymizing.session.load_registered", lambda uri, name: faces.point)
    monkeypatch.setattr("veil.anonymizing.session.Cropper.for_model", lambda metadata, device: faces.cropper)
    photos = tmp_path / "photos"
    photos.mkdir()
    cv2.imwrite(str(photos / "face.png"), picture((40, 50)))
    cv2.imwrite(str(photos / "none.png"), picture())
    (photos / "broken.jpg").write_text("no picture")
    (photos / "notes.txt").touch()

    def run(*options):
        return call_veil("anonymize", str(photos), str(tmp_path / "out"), "--model", "red@test", *options)

    return run


def test_the_summary_names_what_a_person_must_look_at(anonymize, tmp_path):
    result = anonymize()
    assert result.returncode == 3
    for line in (
        "2 anonymized, 0 done before, 1 refused",
        "1 anonymized, 0 blacked out",
        "no face was found: black, a video in part:\n  none.png",
        "refused:\n  broken.jpg: not an image",
        "left out:\n  notes.txt",
        str(tmp_path / "out" / NAME),
        "look at the results before you pass them on",
    ):
        assert line in result.stdout
    assert "0 anonymized, 2 done before, 1 refused" in anonymize().stdout
    (tmp_path / "photos" / "broken.jpg").unlink()
    (tmp_path / "photos" / "none.png").unlink()
    done = anonymize("--quiet")
    assert (done.returncode, done.stdout) == (0, "")


def test_another_way_of_anonymizing_needs_another_folder(anonymize):
    assert anonymize().returncode == 3
    refused = anonymize("--on-missing", "fail")
    assert refused.returncode == 2 and "on_missing: blackout there, fail now" in refused.stderr
    assert "2 anonymized" not in refused.stdout
    assert "1 anonymized, 0 done before, 2 refused" in anonymize("--on-missing", "fail", "--overwrite").stdout
