import pytest
import yaml

from veil.attacking.sources import SettingsChoice, open_model
from veil.config import StudyConfig
from veil.errors import ConfigError, ProtocolError
from veil.records import Manifest, TrialRecord
from veil.study import StudyFolder

SMOKE = SettingsChoice(None, "smoke")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("blurr:kernel=31", "no folder and no registered anonymizer; did you mean 'blur'"),
        ("blur:kernal=31", "no setting 'kernal'; did you mean 'kernel'"),
        ("blur:31", "expected NAME:setting=value"),
        ("blur:kernel=30", "kernel is 30, expected an odd number"),
        ("blur:kernel=many", "blur:kernel=many"),
        ("nowhere/trials/00001", "no folder and no registered anonymizer"),
    ],
)
def test_anonymizers_that_do_not_exist(text, complaint):
    with pytest.raises(ConfigError, match=complaint):
        open_model(text, SMOKE)


def write_study(root, **changes):
    folder = StudyFolder(root / "mine")
    manifest = Manifest(
        space="smoke", base_hash="", suite_hash="", data_hash=None, contract_hash=None, objectives=("leak",)
    )
    folder.create(StudyConfig(study="mine", root=root), manifest)
    record = {"number": 3, "state": "valid", "trainable": "baseline", "family": "classical", "label": "blur 31"}
    folder.write_record(TrialRecord(**{**record, "params": {"method": "blur", "kernel": 31}, **changes}))
    return folder


def test_a_folder_without_a_record_is_no_trial(tmp_path):
    (tmp_path / "study" / "trials" / "1").mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds no record.json"):
        open_model(str(tmp_path / "study" / "trials" / "1"), SMOKE)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"synthetic": True}, "synthetic problem"),
        ({"state": "diverged", "reason": "loss/g is nan"}, "diverged: loss/g is nan"),
        ({"state": "failed", "reason": "KeyError: x"}, "failed: KeyError: x"),
    ],
)
def test_trials_without_an_anonymizer(tmp_path, changes, complaint):
    folder = write_study(tmp_path, **changes)
    with pytest.raises(ConfigError, match=complaint):
        open_model(str(folder.trial(3)), SMOKE)


@pytest.mark.parametrize("override", ["data.split_seed=1", "data.splits.train=10"])
def test_people_who_trained_a_trial_are_never_attacked(tmp_path, override):
    folder = write_study(tmp_path)
    with pytest.raises(ProtocolError, match="people it was trained on may be under attack"):
        open_model(str(folder.trial(3)), SettingsChoice(None, "smoke", (override,)))


def test_a_file_of_settings_counts_more_than_the_study(tmp_path):
    folder = write_study(tmp_path)
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({"data": {"split_seed": 5}}), encoding="utf-8")
    with pytest.raises(ProtocolError, match="other splits"):
        open_model(str(folder.trial(3)), SettingsChoice(other, "smoke"))


def test_a_registry_without_the_model(tmp_path):
    settings = SettingsChoice(None, "smoke", (f"root={tmp_path}",))
    with pytest.raises(ConfigError, match="no tracking database in"):
        open_model("models:/nobody@home", settings)
