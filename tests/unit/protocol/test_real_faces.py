"""The whole ladder on real faces with the default models: what blur and pixelation hide, and from whom."""

import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from veil.assets import cache_folder
from veil.config import DataConfig, RoleConfig, SuiteConfig
from veil.errors import AssetError
from veil.expression import load_expression_net
from veil.faces.table import FaceTable
from veil.preparing import prepare
from veil.protocol.evaluation import Judge
from veil.recognizers import load_recognizer

pytestmark = [pytest.mark.data, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    roles = RoleConfig()
    try:
        faces = FaceTable.load(prepare(DataConfig(), cache_folder()))
        return Judge(
            suite=SuiteConfig(),
            recognizers={name: load_recognizer(name) for name in roles.search},
            evaluator=load_expression_net(roles.evaluator),
            faces=faces,
            target_split="search",
            cache=tmp_path_factory.mktemp("cache"),
            proxies={name: load_recognizer(name) for name in roles.proxies},
        )
    except AssetError as error:
        pytest.skip(str(error))


def tars(score):
    return {rung.name: rung.tar.value for rung in score.rungs}


def test_faces_that_are_not_anonymized_leak_on_every_rung(judge):
    score = judge.score(lambda faces: faces.images).score
    assert score.valid, score.reason
    assert min(tars(score).values()) > 0.95
    assert score.objectives["utility"].value == pytest.approx(1.0, abs=1e-3)


def test_a_black_image_leaks_nothing(judge):
    score = judge.score(lambda faces: torch.full_like(faces.images, -1.0)).score
    assert score.valid, score.reason
    assert score.objectives["leak"].high < 0.02
    assert score.expression.collapsed


def test_blur_hides_less_the_more_the_attacker_knows(judge):
    score = judge.score(lambda faces: gaussian_blur(faces.images, 31, 5.0)).score
    assert score.valid, score.reason
    found = tars(score)
    assert found["naive"] < found["parrot"] < found["informed/closed_set"]
    assert score.objectives["leak"].value == found["informed/closed_set"] > 0.9
    assert score.recognizers["sface"].deployed_tar < found["naive"], (
        "a clear-image threshold makes blur look safer than it is"
    )
