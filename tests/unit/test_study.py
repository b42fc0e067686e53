"""Study folders: records are published whole, a name never mixes two studies, two drivers never share one."""

from pathlib import Path

import numpy as np
import pytest

from veil.config import StudyConfig
from veil.errors import ConfigError, ProtocolError, VeilError
from veil.points import frontier_point
from veil.protocol.measurement import Spread
from veil.protocol.score import Estimate
from veil.records import Manifest, TrialRecord
from veil.study import StudyFolder

MANIFEST = Manifest(
    space="analytic", base_hash="b", suite_hash="a", data_hash=None, contract_hash=None, objectives=("leak", "utility")
)


def make_record(number: int) -> TrialRecord:
    objectives = {
        "leak": Estimate(value=0.5, low=0.4, high=0.6),
        "utility": Estimate(value=0.7, low=0.6, high=0.8),
    }
    return TrialRecord(
        number=number, state="valid", trainable="analytic", family="analytic", label="x=0.5", objectives=objectives
    )


def make_study(root: Path, name: str = "toy") -> StudyFolder:
    config = StudyConfig(study=name, root=root)
    folder = StudyFolder(config.folder)
    folder.create(config, MANIFEST)
    return folder


def test_records_come_back_in_order_and_equal(tmp_path: Path) -> None:
    folder = make_study(tmp_path)
    records = [make_record(number) for number in (2, 0, 11)]
    for record in records:
        folder.write_record(record)
    assert folder.records() == sorted(records, key=lambda record: record.number)
    assert folder.record(11) == records[2]
    assert folder.record(1) is None


def test_config_comes_back_from_a_moved_folder(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    config = StudyFolder(tmp_path / "new" / folder.name).config()
    assert config.folder == tmp_path / "new" / "toy"
    assert config.suite == StudyConfig().suite


@pytest.mark.parametrize("field", ["suite_hash", "data_hash", "contract_hash", "space", "base_hash"])
def test_name_is_not_reused_under_other_conditions(tmp_path: Path, field: str) -> None:
    folder = make_study(tmp_path)
    folder.write_record(make_record(0))
    with pytest.raises(ProtocolError, match=f"{field}: .* there, other now.*--set study=NAME"):
        folder.create(StudyConfig(study="toy", root=tmp_path), MANIFEST.model_copy(update={field: "other"}))
    assert folder.manifest() == MANIFEST and len(folder.records()) == 1


def test_unknown_study_names_the_nearest(tmp_path: Path) -> None:
    make_study(tmp_path, "smoke")
    with pytest.raises(ConfigError, match="no study 'smok'.*did you mean 'smoke'"):
        StudyFolder(tmp_path / "smok").config()


def test_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot write the study folder .*--set root=FOLDER"):
        make_study(tmp_path / "file")


def test_folder_that_became_unwritable_names_the_setting(tmp_path: Path) -> None:
    folder = make_study(tmp_path)
    folder.config_path.unlink()
    folder.config_path.mkdir()  # stands in the way of the file, whoever the user is
    with pytest.raises(ConfigError, match="cannot write the study folder .*--set root=FOLDER"):
        make_study(tmp_path)


def test_damaged_record_is_named(tmp_path: Path) -> None:
    folder = make_study(tmp_path)
    folder.write_record(make_record(3))
    folder.record_path(3).write_text("{", encoding="utf-8")
    with pytest.raises(VeilError, match=r"00003/record\.json"):
        folder.records()


def test_second_driver_is_refused(tmp_path: Path) -> None:
    folder = make_study(tmp_path)
    with folder.driver_lock(), pytest.raises(ConfigError, match="run by another process"), folder.driver_lock():
        pass
    with folder.driver_lock():
        pass


def test_attempts_are_counted(tmp_path: Path) -> None:
    folder = make_study(tmp_path)
    assert folder.attempts(0) == []
    with folder.trial_lock(0):
        folder.note_attempt(0)
        folder.note_attempt(0)
    assert len(folder.attempts(0)) == 2


def test_record_becomes_a_point_with_its_intervals() -> None:
    point = frontier_point(make_record(4))
    assert point.trial == 4 and point.valid
    assert tuple(point.interval("leak")) == (0.5, 0.4, 0.6)
    lost = TrialRecord(number=5, state="failed", trainable="analytic", family="analytic", label="x", reason="died")
    assert not frontier_point(lost).valid and frontier_point(lost).reason == "died"


def test_objectives_in_other_samples_come_back(tmp_path: Path) -> None:
    folder = make_study(tmp_path)
    spreads = {
        name: Spread(np.random.default_rng(seed).random(10), np.random.default_rng(seed).random(200))
        for seed, name in enumerate(("leak", "utility"))
    }
    assert not folder.has_spreads(3)
    folder.trial(3).mkdir(parents=True)
    folder.write_spreads(3, spreads)
    found = folder.spreads(3)
    assert folder.has_spreads(3) and set(found) == {"leak", "utility"}
    for name, spread in spreads.items():
        np.testing.assert_array_equal(found[name].left_out, spread.left_out)
        np.testing.assert_array_equal(found[name].replicates, spread.replicates)
    (folder.trial(3) / "spreads.npz").write_bytes(b"PK damaged")
    with pytest.raises(VeilError, match="cannot read"):
        folder.spreads(3)


def test_records_of_another_version_are_refused_in_words(tmp_path: Path) -> None:
    folder = make_study(tmp_path)
    folder.write_record(make_record(0))
    path = folder.record_path(0)
    path.write_text(path.read_text().replace('"synthetic"', '"artificial"'))
    for read in (folder.records, lambda: folder.record(0)):
        with pytest.raises(VeilError, match="artificial.*another version of Veil wrote this record"):
            read()
