"""What theory says of the baselines holds on true faces, under a true recognizer and the real judge."""

from dataclasses import replace

import numpy as np
import pytest
from orl_crops import require_assets

from trainables.anonymizers.classical import Blackout, Blur
from trainables.anonymizers.ksame import KSame
from trainables.anonymizers.pool import FacePool
from veil.protocol.rendering import render

pytestmark = [pytest.mark.slow, pytest.mark.data, pytest.mark.timeout(300)]

NET = "mobilefacenet"


@pytest.fixture(scope="module")
def faces():
    require_assets("orl_faces", "yunet", "mobilefacenet_tflite", "face_api_expression_bin")
    from veil.assets import cache_folder
    from veil.config import StudyConfig
    from veil.faces.table import FaceTable
    from veil.preparing import prepare

    return FaceTable.load(prepare(StudyConfig().data, cache_folder()))


@pytest.fixture(scope="module")
def judge(faces, tmp_path_factory):
    from veil.config import StudyConfig, SuiteConfig
    from veil.expression import load_expression_net
    from veil.protocol.evaluation import Judge
    from veil.recognizers import load_recognizer

    return Judge(
        suite=SuiteConfig(attackers=("control", "naive", "parrot"), floor_permutations=50),
        recognizers={NET: load_recognizer(NET)},
        evaluator=load_expression_net(StudyConfig().roles.evaluator),
        faces=faces,
        target_split="search",
        cache=tmp_path_factory.mktemp("cache"),
    )


def tars(evaluation):
    assert evaluation.score.valid, evaluation.score.reason
    return {rung.name: rung.tar for rung in evaluation.score.rungs}


def test_blackout_is_at_the_floor(judge):
    score = judge.score(Blackout("crop")).score
    assert score.valid, score.reason
    assert score.objectives["leak"].low <= score.leak_floor_95
    assert score.objectives["leak"].value < 2 * judge.suite.far
    assert score.expression.collapsed


def test_blur_is_undone_by_the_parrot(judge):
    found = tars(judge.score(Blur(51)))
    assert found["control"].value > 0.95
    assert found["naive"].value < 0.3
    assert found["parrot"].value > found["naive"].value + 0.2


def test_k_same_over_a_closed_set_is_recognized_less_the_more_it_mixes_and_never_if_nobody_is_in_it(judge, faces):
    """The papers' setting and bound: of k faces in an output, an attacker finds the right one by one chance in k."""
    target = faces.split("search")
    pools = FacePool.build(target), FacePool.build(faces.split("train"))
    rank1 = {k: rank1_of(judge, faces, KSame(pools[0], "average", k)) for k in (2, 4, 8)}
    assert rank1[2] > rank1[4] > rank1[8]
    for k, share in rank1.items():
        assert share <= 1 / k + 0.1, k
    # The judge refuses it all the same: here the gallery is what is mixed.
    refused = judge.score(KSame(pools[0], "average", 4)).score
    assert not refused.valid and "10 people who are also judged" in refused.reason
    for k in (2, 10):
        assert tars(judge.score(KSame(pools[1], "average", k)))["naive"].value < 0.1


def test_k_same_over_repeated_subjects_breaks_its_bound_and_is_refused(judge, faces):
    """The mistake that k-Same is often evaluated with: several images of a person in the pool are averaged together."""
    target = faces.split("search")
    space = FacePool.build(target, variance=1.0)
    pixels = target.images.flatten(1).numpy()
    repeated = replace(
        space,
        images=target.crops[:],
        identities=tuple(target.identities),
        codes=((pixels - space.mean) @ space.eigenfaces.T).astype(np.float32),
    )
    anonymize = KSame(repeated, "average", 2)
    assert rank1_of(judge, faces, anonymize) > 0.9
    train = faces.split("train")
    elsewhere = replace(repeated, images=train.crops[:100], identities=tuple(train.identities[:100]))
    score = judge.score(KSame(elsewhere, "average", 2)).score
    assert not score.valid and "10 images of" in score.reason and score.objectives == {}


def rank1_of(judge, faces, anonymize):
    """Share of images recognized by the naive attack, without the guards: as if another tool had made them."""
    published = (render(anonymize, faces.split(split), 16, "cpu") for split in ("search", "attacker"))
    return judge.score_images(*published).cmc[f"{NET}/naive"][0]
