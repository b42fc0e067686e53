"""The log of looks at sealed people: every look is kept, in order, and read back as it was written."""

import json

import pytest

from veil.errors import DataError
from veil.protocol.score import TrialScore
from veil.sealed import (
    LOG,
    REGISTRATIONS,
    Registration,
    SealedLook,
    log_look,
    log_registration,
    registrations,
    sealed_looks,
)
from veil.study import StudyFolder


@pytest.fixture
def folder(tmp_path):
    return StudyFolder(tmp_path)


def look_at(trial: int, **more: object) -> SealedLook:
    score = TrialScore(
        valid=False, reason="x", target_split="sealed", n_images=1, undetected=0, suite_hash="s", data_hash="d",
        contract_hash="c",
    )  # fmt: skip
    return SealedLook(time="2026-01-02T03:04:05Z", trial=trial, label=f"blur {trial}", score=score, **more)


def test_looks_are_numbered_and_read_back(folder):
    assert sealed_looks(folder) == [] and registrations(folder) == []
    looks = [look_at(3), look_at(5, asked="--knee", refused="leak 0.5 is above 0.1", run_id="r")]
    assert [log_look(folder, look) for look in looks] == [1, 2]
    assert sealed_looks(folder) == looks
    first = json.loads((folder.path / LOG).read_text(encoding="utf-8").splitlines()[0])
    assert (first["time"], first["trial"], first["label"]) == ("2026-01-02T03:04:05Z", 3, "blur 3")

    done = Registration(
        time="2026-01-02T03:04:06Z", model="m", alias="a", version="1", trial=5, look=2, files_sha256="ff"
    )
    log_registration(folder, done)
    assert registrations(folder) == [done] and (folder.path / REGISTRATIONS).is_file()


def test_looks_of_the_first_format_are_read(folder):
    line = look_at(1).model_dump(mode="json", include={"time", "trial", "label", "score"})
    (folder.path / LOG).write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert sealed_looks(folder) == [look_at(1)]


def test_a_damaged_log_is_an_error(folder):
    log_look(folder, look_at(1))
    with (folder.path / LOG).open("a", encoding="utf-8") as log:
        log.write('{"time": "2026')
    with pytest.raises(DataError, match="damaged"):
        sealed_looks(folder)
