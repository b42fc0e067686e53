"""The sensitivity trainable: an anonymizer of the study, a detector of its own."""

from pathlib import Path

import pytest
import torch

from trainables.sensitivity import Sensitivity, SensitivityConfig
from veil.errors import ConfigError
from veil.interfaces import FaceBatch, TrialContext
from veil.registry import trainables
from veil.runtime import LocalLauncher

BLUR = {"trainable": "baseline", "settings": {"method": "blur", "kernel": 31}}


def parse(**values: object) -> SensitivityConfig:
    return SensitivityConfig.parse({"detector": "mtcnn", **BLUR, **values}, where="test")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"detector": "mtcn"}, "did you mean 'mtcnn'"),
        ({"trainable": "sensitivity", "settings": {}}, "makes no anonymizer"),
        ({"settings": {"method": "blur", "kernel": 30}}, "odd number"),
        ({"trial": "somewhere"}, "give either"),
    ],
)
def test_wrong_settings_are_refused_before_anything_runs(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(**values)


def test_outcome_is_the_anonymizer_with_the_detector(tmp_path: Path) -> None:
    context = TrialContext(
        folder=tmp_path, cache=tmp_path, faces=None, load_roles=lambda device: None, launcher=LocalLauncher(), seed=0
    )
    faces = FaceBatch(
        torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1, torch.zeros(2, 68, 2)
    )
    outcome = Sensitivity().run(parse(), context)
    assert (outcome.detector, outcome.strength) == ("mtcnn", {})
    blur = trainables.get("baseline")()
    expected = blur.load(blur.Config.parse(BLUR["settings"], "test"), tmp_path)(faces)
    assert torch.equal(outcome.anonymizer(faces), expected)
    assert torch.equal(Sensitivity().load(parse(), tmp_path)(faces), expected)
    assert Sensitivity().label(parse()) == "blur 31 · mtcnn"
