"""Classical baselines as trials."""

import pytest

from trainables.anonymizers.average_face import AverageFace
from trainables.anonymizers.classical import Blackout, Blur, Pixelate
from trainables.baseline import Baseline, BaselineConfig
from veil.errors import ConfigError


@pytest.mark.parametrize(
    ("params", "kind", "label"),
    [
        ({"method": "blur", "kernel": 31}, Blur, "blur 31"),
        ({"method": "pixelate", "block": 8}, Pixelate, "pixelate 8"),
        ({"method": "blackout"}, Blackout, "blackout"),
        ({"method": "blackout", "area": "face"}, Blackout, "blackout face"),
        ({"method": "blackout", "area": "eyes"}, Blackout, "blackout eyes"),
        ({"method": "average_face"}, AverageFace, "average face"),
        ({"method": "average_face", "reading": "posterior"}, AverageFace, "average face posterior"),
    ],
)
def test_each_method_builds_its_anonymizer(params, kind, label, tmp_path):
    config = BaselineConfig.parse(params, where="trial")
    assert type(Baseline().load(config, tmp_path)) is kind
    assert Baseline().label(config) == label


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"method": "blur"}, "needs the setting 'kernel'"),
        ({"method": "blur", "kernel": 30}, "odd"),
        ({"method": "blur", "kernel": 31, "block": 8}, "no setting 'block'"),
        ({"method": "pixelate", "kernel": 31}, "no setting 'kernel'"),
        ({"method": "pixelate", "block": 1}, "greater than or equal to 2"),
        ({"method": "blackout", "reading": "label"}, "no setting 'reading'"),
        ({"method": "average_face", "reading": "lips"}, "label"),
        ({"method": "smear"}, "method"),
        ({"method": "blur", "kernal": 31}, "did you mean 'kernel'"),
    ],
)
def test_wrong_combinations_are_configuration_errors(params, message):
    with pytest.raises(ConfigError, match=message):
        BaselineConfig.parse(params, where="trial")
