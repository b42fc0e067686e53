"""The robustness trainable: an anonymizer made or loaded, one attacker, one strength, all checked before a run."""

import json
from pathlib import Path

import pytest
import torch

from trainables.borrowed import check_same_faces
from trainables.robustness import Robustness, RobustnessConfig
from veil.errors import ConfigError, DataError, ProtocolError
from veil.interfaces import FaceBatch, TrialContext
from veil.registry import search_spaces, trainables
from veil.runtime import LocalLauncher

BLUR = {"trainable": "baseline", "settings": {"method": "blur", "kernel": 31}}


def parse(**values: object) -> RobustnessConfig:
    return RobustnessConfig.parse({"attacker": "informed", **BLUR, **values}, where="test")


def finished_trial(root: Path, study: str = "smoke", data_hash: str = "d", state: str = "valid") -> Path:
    folder = root / study / "trials" / "00004"
    folder.mkdir(parents=True)
    record = {"state": state, "trainable": "baseline", "params": {"method": "pixelate", "block": 8}}
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    (root / study / "manifest.json").write_text(json.dumps({"data_hash": data_hash}), encoding="utf-8")
    return folder


def context(folder: Path) -> TrialContext:
    return TrialContext(
        folder=folder, cache=folder, faces=None, load_roles=lambda device: None, launcher=LocalLauncher(), seed=0
    )


def faces() -> FaceBatch:
    return FaceBatch(
        torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1, torch.zeros(2, 68, 2)
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"strength": {"epoch": 3}}, "strength of attacker 'informed'.*did you mean 'epochs'"),
        ({"strength": {"epochs": 0}}, "epochs"),
        ({"attacker": "informd"}, "did you mean 'informed'"),
        ({"attacker": "parrot"}, r"\(A3\) learns nothing"),
        ({"attacker": "control"}, r"\(A0\) learns nothing"),
        ({"settings": {"method": "blur", "kernel": 30}}, "odd number"),
        ({"trainable": "baselin"}, "did you mean 'baseline'"),
        ({"trainable": "analytic", "settings": {}}, "makes no anonymizer"),
        ({"trainable": "robustness", "settings": {}}, "makes no anonymizer"),
        ({"trial": "somewhere"}, "give either"),
        ({"trainable": None}, "give either"),
        ({"trainable": None, "trial": "somewhere"}, "remove them"),
    ],
)
def test_wrong_settings_are_refused_before_anything_runs(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(**values)


def test_outcome_is_the_anonymizer_with_the_strength(tmp_path: Path) -> None:
    config = parse(strength={"epochs": 50})
    outcome = Robustness().run(config, context(tmp_path))
    assert outcome.strength == {"informed": {"epochs": 50}}
    blur = trainables.get("baseline")()
    expected = blur.load(blur.Config.parse(BLUR["settings"], "test"), tmp_path)(faces())
    assert outcome.anonymizer is not None
    assert torch.equal(outcome.anonymizer(faces()), expected)
    assert torch.equal(Robustness().load(config, tmp_path)(faces()), expected)


def test_finished_trial_is_loaded_and_named(tmp_path: Path) -> None:
    trial = finished_trial(tmp_path)
    here = finished_trial(tmp_path, "attackers")
    config = RobustnessConfig.parse({"attacker": "informed", "trial": str(trial)}, where="test")
    outcome = Robustness().run(config, context(here))
    assert outcome.anonymizer is not None
    assert torch.equal(outcome.anonymizer(faces())[0, 0, :8, :8].unique(), outcome.anonymizer(faces())[0, 0, 0, :1])
    assert Robustness().label(config) == "smoke #4 · informed"


def test_label_says_what_is_attacked_by_whom_and_how_strongly() -> None:
    assert Robustness().label(parse(strength={"epochs": 50})) == "blur 31 · informed epochs=50"
    assert Robustness().label(parse(strength={"enrolment_images": None})) == "blur 31 · informed enrolment_images=all"


def test_anonymizer_that_may_know_the_targets_is_refused(tmp_path: Path) -> None:
    theirs, ours = finished_trial(tmp_path, "a", data_hash="1"), finished_trial(tmp_path, "b", data_hash="2")
    with pytest.raises(ProtocolError, match="may have been trained on the people under attack"):
        check_same_faces(theirs, ours)
    config = RobustnessConfig.parse({"attacker": "informed", "trial": str(theirs)}, where="test")
    with pytest.raises(ProtocolError, match="other faces"):
        Robustness().run(config, context(ours))


def test_unfinished_or_missing_trial_is_one_clear_error(tmp_path: Path) -> None:
    lost = RobustnessConfig.parse({"attacker": "informed", "trial": str(tmp_path / "s/trials/00001")}, where="test")
    with pytest.raises(DataError, match="must be the folder of a finished trial"):
        Robustness().load(lost, tmp_path)
    diverged = finished_trial(tmp_path, state="diverged")
    config = RobustnessConfig.parse({"attacker": "informed", "trial": str(diverged)}, where="test")
    with pytest.raises(DataError, match="'diverged', expected a valid one"):
        Robustness().load(config, tmp_path)


@pytest.mark.parametrize("name", [name for name in search_spaces.names() if name.startswith("attackers")])
def test_every_curve_of_a_space_runs_through_the_attackers_own_default(name: str) -> None:
    from veil.registry import attackers

    space = search_spaces.get(name)()
    defaults = attackers.get(space.attacker).Config()
    for setting, values in space.settings.items():
        assert getattr(defaults, setting) == values.default
        assert values.default not in values.others
