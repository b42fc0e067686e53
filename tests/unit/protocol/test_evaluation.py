"""The judge end to end on faces whose truth is planted, with tiny recognizers."""

import json

import numpy as np
import pytest
import torch
from attack_sets import CoarseFeatures, PatternRecognizer, StripeExpression, pattern_faces, quick_suite
from torch import nn

from veil.errors import ConfigError, ProtocolError
from veil.interfaces import AttackFailedError, SubjectPool
from veil.protocol.appearance import score_labels
from veil.protocol.evaluation import Judge, evaluate
from veil.protocol.score import TrialScore
from veil.registry import attackers


def make_judge(folder, faces=None, recognizer=None, proxies=None, also_judging=None, **suite):
    return Judge(
        suite=quick_suite(**suite),
        recognizers={"pattern": recognizer or PatternRecognizer()},
        evaluator=StripeExpression(),
        faces=faces or pattern_faces(),
        target_split="search",
        cache=folder,
        proxies=proxies,
        features=CoarseFeatures(),
        perceptual=Difference(),
        also_judging=also_judging,
    )


class Difference(nn.Module):
    name = "difference"
    asset_sha256 = "d" * 64

    def forward(self, images, references):
        return (images - references).abs().mean(dim=(1, 2, 3))


def nothing(faces):
    return faces.images


def negative(faces):
    return -faces.images


def blackout(faces):
    return torch.full_like(faces.images, -1.0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def judge(cache):
    return make_judge(cache, proxies={"coarse": PatternRecognizer("coarse", cells=4)})


@pytest.fixture(scope="module")
def evaluations(judge):
    return {name: judge.score(anonymizer) for name, anonymizer in
            {"nothing": nothing, "negative": negative, "blackout": blackout}.items()}  # fmt: skip


def tars(score):
    return {rung.name: rung.tar.value for rung in score.rungs}


def test_doing_nothing_leaks_everything_and_keeps_everything(evaluations):
    score = evaluations["nothing"].score
    assert score.valid and score.reason is None
    assert score.objectives["leak"].value > 0.95
    assert score.objectives["utility"].value == pytest.approx(1.0)
    assert score.objectives["realism"].value == pytest.approx(0.0, abs=1e-9)
    assert score.realism.ssim == pytest.approx(1.0, abs=1e-3) and score.realism.lpips < 1e-6
    assert score.realism.fid is None and "2048" in score.realism.missing["fid"]
    assert score.expression.top1_agreement == 1.0 and score.realism.psnr is None
    assert score.recognizers["pattern"].cosine == pytest.approx(1.0)
    assert score.proxy["coarse"].cosine == pytest.approx(1.0) and score.proxy["coarse"].naive_tar > 0.9
    assert score.recognizers["pattern"].deployed_tar > 0.95


def test_blackout_is_at_the_floor_and_collapses_the_expression(evaluations):
    score = evaluations["blackout"].score
    assert score.valid
    assert score.objectives["leak"].value == pytest.approx(0.01, abs=0.005)
    assert score.objectives["leak"].low <= score.leak_floor_95 + 0.005
    assert score.expression.collapsed and score.expression.largest_class_share == 1.0
    assert score.objectives["utility"].value < 0.9


def test_a_stable_disguise_fools_the_naive_attack_only(evaluations):
    score = evaluations["negative"].score
    found = tars(score)
    assert found["control"] > 0.95
    assert found["naive"] < 0.05 and score.recognizers["pattern"].deployed_tar < 0.05
    assert found["parrot"] > 0.95
    assert score.objectives["leak"].value > 0.95
    assert score.strongest in ("parrot", "informed/open_set/parrot", "informed/closed_set")


def test_the_card_says_what_it_rests_on(judge, evaluations):
    evaluation = evaluations["negative"]
    score = evaluation.score
    assert [rung.rung for rung in score.rungs] == ["A0", "A1", "A2", "A3", "A4", "A4", "A4", "A4"]
    assert set(evaluation.curves) == {f"pattern/{rung.name}" for rung in score.rungs}
    assert all(len(curve.far) == len(curve.tar) == 200 for curve in evaluation.curves.values())
    assert evaluation.anonymized_target.shape == (100, 3, 112, 112)
    assert score.suite_hash == judge.suite_hash and score.n_images == 100 and score.target_split == "search"
    assert set(score.models) == {
        "recognizer/pattern",
        "proxy/coarse",
        "evaluator/stripes",
        "realism/coarse_features",
        "realism/difference",
    }
    assert {"anonymize", "embed", "attack/informed", "measure", "appearance"} <= set(score.seconds)
    assert type(score).model_validate_json(score.model_dump_json()) == score


def test_scores_are_reproducible_and_do_not_depend_on_the_batch_size(judge, evaluations):
    again = evaluate(negative, judge, batch_size=7)
    first = evaluations["negative"].score
    assert again.objectives == first.objectives
    assert again.rungs == first.rungs


def test_calibration_and_clear_outputs_are_computed_once(cache, evaluations):
    files = sorted(path.name for path in cache.iterdir())
    assert sum(name.startswith("blackout-search-") for name in files) == 1
    # Recognizer on two splits, evaluator, features, proxy.
    assert sum(name.startswith("outputs-") for name in files) == 5

    class Forbidden(PatternRecognizer):
        def forward(self, images):
            raise AssertionError("clear images are embedded again")

    make_judge(cache, recognizer=Forbidden()).calibrate(16)


def test_an_anonymizer_that_fails_is_invalid_with_a_reason_and_without_a_number(judge):
    evaluation = judge.score(lambda faces: faces.images * float("inf"))
    assert not evaluation.score.valid
    assert "not finite" in evaluation.score.reason
    assert evaluation.score.objectives == {} and evaluation.score.strongest is None
    assert evaluation.anonymized_target.shape == (0, 3, 112, 112)


def test_a_blind_recognizer_makes_the_score_invalid(tmp_path):
    class Blind(PatternRecognizer):
        def forward(self, images):
            generator = torch.Generator().manual_seed(int(images.abs().sum() * 1000))
            return nn.functional.normalize(torch.randn(len(images), 32, generator=generator), dim=1)

    judge = make_judge(tmp_path, recognizer=Blind(), attackers=("control", "naive", "parrot"), strength={})
    score = evaluate(nothing, judge)
    assert not score.valid and "A0 control" in score.reason
    assert score.objectives == {}
    assert len(score.rungs) == 3, "what was measured is still shown"


def test_a_failed_attacker_makes_the_score_invalid(tmp_path, monkeypatch):
    def broken(self, setting):
        raise AttackFailedError("did not learn")

    judge = make_judge(tmp_path, attackers=("control", "naive"), strength={})
    monkeypatch.setattr(attackers.get("naive"), "__call__", broken)
    score = evaluate(nothing, judge)
    assert not score.valid and "did not learn" in score.reason and score.objectives == {}


def test_an_attacker_that_cannot_learn_is_not_privacy(tmp_path):
    judge = make_judge(tmp_path, strength={"informed": {"epochs": 1, "learning_rate": 1e-6}})
    score = evaluate(nothing, judge)
    assert not score.valid and "training images" in score.reason


def test_a_blackout_above_the_floor_makes_every_score_invalid(tmp_path):
    judge = make_judge(tmp_path, attackers=("control", "naive", "parrot"), strength={})
    judge.calibrate(16)
    [path] = tmp_path.glob("blackout-*.json")
    values = json.loads(path.read_text())
    values["leak"] = {"value": 0.4, "low": 0.3, "high": 0.5}
    path.write_text(json.dumps(values))
    score = evaluate(nothing, make_judge(tmp_path, attackers=("control", "naive", "parrot"), strength={}))
    assert not score.valid and "blackout not at the floor" in score.reason


def test_too_few_people_are_refused_with_the_setting_to_change(tmp_path):
    faces = pattern_faces({"attacker": 3, "search": 4})
    score = evaluate(nothing, make_judge(tmp_path, faces=faces, attackers=("control", "naive"), strength={}))
    assert not score.valid and "false accepts" in score.reason and "suite.far" in score.reason


def test_a_recognizer_from_the_loss_may_not_score(tmp_path):
    with pytest.raises(ProtocolError, match="inside the loss"):
        make_judge(tmp_path, proxies={"same": PatternRecognizer("same")})


def test_a_judge_needs_a_recognizer(tmp_path):
    with pytest.raises(ConfigError, match="no recognizer"):
        Judge(quick_suite(), {}, StripeExpression(), pattern_faces(), "search", tmp_path)


def test_several_recognizers_all_count(tmp_path):
    judge = Judge(
        suite=quick_suite(attackers=("control", "naive"), strength={}),
        recognizers={"fine": PatternRecognizer("fine"), "finer": PatternRecognizer("finer", cells=14)},
        evaluator=StripeExpression(),
        faces=pattern_faces(),
        target_split="search",
        cache=tmp_path,
    )
    score = evaluate(nothing, judge)
    assert score.valid and len(score.rungs) == 4
    assert score.strongest in ("fine/naive", "finer/naive")
    assert set(score.recognizers) == {"fine", "finer"}


def test_an_anonymizer_whose_pool_holds_judged_people_is_refused(judge):
    class AverageOfTargets:
        pool = SubjectPool([f"search{person:02d}" for person in range(8)], k=3)

        def __call__(self, faces):
            return faces.images.mean(dim=0, keepdim=True).expand_as(faces.images)

    score = evaluate(AverageOfTargets(), judge)
    assert not score.valid and "also judged" in score.reason and score.objectives == {}


@pytest.mark.parametrize(
    "net", [PatternRecognizer("pattern"), StripeExpression(), PatternRecognizer("at report", cells=14)]
)
def test_an_anonymizer_that_looks_through_a_judge_is_refused(cache, net):
    class Informed:
        models = {"my net": net.asset_sha256, "another": "f" * 64}

        def __call__(self, faces):
            return faces.images

    at_report = {"at report": PatternRecognizer("at report", cells=14).asset_sha256}
    judge = make_judge(cache, also_judging=at_report, attackers=("control", "naive"), strength={})
    score = evaluate(Informed(), judge)
    assert not score.valid and "'my net', which has the same weights as the" in score.reason
    assert net.name in score.reason and score.objectives == {}


def test_images_of_another_tool_score_as_its_anonymizer_would(judge, evaluations):
    faces = pattern_faces()
    negatives = [255 - faces.split(split).crops[:] for split in ("search", "attacker")]
    score = judge.score_images(*negatives).score
    assert score.objectives == evaluations["negative"].score.objectives
    with pytest.raises(ProtocolError, match="expected uint8"):
        judge.score_images(negatives[0][1:], negatives[1])


def test_a_disguise_has_a_recovery_gap_and_nothing_has_none(evaluations):
    # The negative is linear in the pattern: what the parrot already finds, learning cannot better by much.
    assert abs(evaluations["negative"].score.recovery_gap.value) < 0.05
    assert abs(evaluations["nothing"].score.recovery_gap.value) < 0.05


def test_people_are_the_parts_of_leak_and_utility(evaluations):
    for evaluation in evaluations.values():
        score = evaluation.score
        strongest = next(rung for rung in score.rungs if rung.name == score.strongest)
        assert len(score.people) == strongest.n_identities and not score.people[0].model_fields_set - {"tar", "utility"}
        # Everybody has equally many images here, so that means over people are means over pairs and images.
        assert np.mean([person.tar for person in score.people]) == pytest.approx(score.objectives["leak"].value)
        assert np.mean([person.utility for person in score.people]) == pytest.approx(score.objectives["utility"].value)
    disguised = evaluations["negative"].score.people
    assert TrialScore.model_validate_json(evaluations["negative"].score.model_dump_json()).people == disguised


def test_identification_curves_end_at_one_and_agree_with_the_ranks(evaluations):
    evaluation = evaluations["negative"]
    for rung in evaluation.score.rungs:
        curve = evaluation.cmc[f"pattern/{rung.name}"]
        assert curve[-1] == pytest.approx(1.0) and curve[0] == rung.rank_1 and len(curve) == 10
    assert set(evaluation.spreads) == {"leak", "control", "utility", "realism"}
    assert {(item.left_out.shape, item.replicates.shape) for item in evaluation.spreads.values()} == {((10,), (200,))}


def test_labels_are_compared_where_there_are_any(tmp_path, evaluations):
    assert evaluations["nothing"].score.expression.labelled is None
    posteriors = np.eye(7)[[0, 0, 3, 6]] * 0.9 + 0.1 / 7
    worse = np.eye(7)[[0, 3, 3, 6]] * 0.9 + 0.1 / 7
    found = score_labels(posteriors, worse, ["angry", "angry", "happy", None])
    assert (found.n_images, found.accuracy_clear, found.accuracy) == (3, 1.0, pytest.approx(2 / 3))
    assert found.accuracy_retention == pytest.approx(2 / 3) and found.macro_f1_retention < 1
    assert found.ece_clear == pytest.approx(1 - (0.9 + 0.1 / 7))
    assert score_labels(posteriors, worse, ["sad", "sad", None, None]) is None, "nothing is left to lose"
