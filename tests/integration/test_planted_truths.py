"""Anonymizers whose truth is known, under the whole ladder: every rung must say what is so.

Faces are coarse colour patterns and recognizers are tiny, so that all seven rungs, trained ones included, run in
seconds; true faces and recognizers stand at the end.
"""

import numpy as np
import pytest
import torch
from attack_sets import ColourRecognizer, PatternRecognizer, StripeExpression, pattern_faces, quick_suite
from orl_crops import require_assets

from veil.protocol.evaluation import Judge

LADDER = ("control", "naive", "reverse", "parrot", "informed", "finetuned", "reversal")
QUICK = {
    "informed": {"epochs": 60, "learning_rate": 0.03},
    "finetuned": {"seeds": 1, "epochs": 3, "learning_rate": 0.01},
    "reversal": {"images": 700, "width": 8, "identity_weight": 0.0},
}
PEOPLE = {"train": 10, "attacker": 8, "search": 10, "sealed": 2}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def faces():
    return pattern_faces(PEOPLE)


@pytest.fixture(scope="module")
def judge(faces, tmp_path_factory):
    return Judge(
        suite=quick_suite(attackers=LADDER, strength=QUICK),
        recognizers={"colour": ColourRecognizer()},
        evaluator=StripeExpression(),
        faces=faces,
        target_split="search",
        cache=tmp_path_factory.mktemp("cache"),
    )


def best_by_rung(score):
    best: dict[str, float] = {}
    for rung in score.rungs:
        best[rung.rung] = max(best.get(rung.rung, 0.0), rung.tar.value)
    return best


def test_the_identity_leaks_on_every_rung_what_clear_images_leak(judge):
    score = judge.score(lambda faces: faces.images).score
    assert score.valid, score.reason
    best = best_by_rung(score)
    assert set(best) == {f"A{level}" for level in range(7)}
    for rung, tar in best.items():
        assert tar > best["A0"] - 0.05, rung


def test_a_constant_image_leaves_every_rung_at_its_floor(judge):
    score = judge.score(lambda faces: torch.full_like(faces.images, 0.3)).score
    assert score.valid, score.reason
    for rung in score.rungs:
        if rung.rung != "A0":
            assert rung.tar.low <= rung.floor_95 and rung.tar.value <= rung.floor_95 + 0.005, rung.name
    assert score.objectives["leak"].low <= score.leak_floor_95
    linkability = score.recognizers["colour"].linkability
    assert linkability.d_sys.value <= linkability.floor_95 + 1e-9


def test_a_fixed_distortion_hides_from_the_naive_and_not_from_who_learns_to_undo_it(judge):
    score = judge.score(lambda faces: -faces.images.flip(-2)).score
    assert score.valid, score.reason
    best = best_by_rung(score)
    assert best["A1"] < 0.1 and score.recognizers["colour"].deployed_tar < 0.1
    assert best["A6"] > 0.8
    assert best["A5"] > 0.8
    assert score.recovery_gap is not None


def test_a_pseudonym_hides_from_the_naive_and_links_all_images_of_a_person(judge, faces):
    disguises = faces.split("train").crops[:]
    target, owned = faces.split("search"), faces.split("attacker")
    # Image i of a person becomes image i of one other person, always the same one.
    published = [disguises.reshape(10, 10, 3, 112, 112)[: len(part) // 10].reshape(part.crops.shape) for part in
                 (target, owned)]  # fmt: skip
    score = judge.score_images(*published).score
    assert score.valid, score.reason
    best = best_by_rung(score)
    assert best["A1"] < 0.15
    assert best["A3"] > 0.9
    assert score.recognizers["colour"].linkability.d_sys.value > 0.9
    assert score.objectives["leak"].value > 0.9


@pytest.mark.data
def test_a_texture_against_the_proxy_alone_fools_the_proxy_alone(tmp_path):
    require_assets("orl_faces", "yunet", "mobilefacenet_tflite", "sface", "face_api_expression_bin")
    from veil.assets import cache_folder
    from veil.config import StudyConfig, SuiteConfig
    from veil.expression import load_expression_net
    from veil.faces.table import FaceTable
    from veil.preparing import prepare
    from veil.recognizers import load_recognizer

    config = StudyConfig()
    faces = FaceTable.load(prepare(config.data, cache_folder()))
    proxy, search = load_recognizer("mobilefacenet"), load_recognizer("sface")

    def adversarial(batch):
        """Projected gradient descent (Madry et al., 2018) against the proxy, within 4 grey levels."""
        original, start = proxy(batch.images).detach(), torch.Generator().manual_seed(0)
        noise = 0.01 * torch.randn(batch.images.shape, generator=start)
        for _ in range(5):
            noise.requires_grad_(True)
            with torch.enable_grad():
                cosine = (proxy((batch.images + noise).clamp(-1, 1)) * original).sum()
                [slope] = torch.autograd.grad(cosine, noise)
            noise = (noise.detach() - 0.012 * slope.sign()).clamp(-8 / 255, 8 / 255)
        return (batch.images + noise).clamp(-1, 1)

    judge = Judge(
        suite=SuiteConfig(attackers=("control", "naive", "parrot"), floor_permutations=50),
        recognizers={"sface": search},
        evaluator=load_expression_net(config.roles.evaluator),
        faces=faces,
        target_split="search",
        cache=tmp_path,
        proxies={"mobilefacenet": proxy},
    )
    score = judge.score(adversarial).score
    assert score.valid, score.reason
    assert score.proxy["mobilefacenet"].naive_tar < 0.1 and score.proxy["mobilefacenet"].cosine < 0.2
    assert best_by_rung(score)["A1"] > 0.9
    assert score.objectives["leak"].value > 0.9
    assert np.isfinite(score.recognizers["sface"].similarity_shift.value)


def test_two_recognizers_and_their_ensemble_are_all_measured(faces, tmp_path):
    judge = Judge(
        suite=quick_suite(attackers=("control", "naive", "finetuned"), strength={"finetuned": QUICK["finetuned"]}),
        recognizers={"colour": ColourRecognizer(), "fine": ColourRecognizer("fine", cells=14)},
        evaluator=StripeExpression(),
        faces=faces,
        target_split="search",
        cache=tmp_path,
        proxies={"coarse": PatternRecognizer("coarse", cells=4)},
    )
    score = judge.score(lambda faces: -faces.images).score
    assert score.valid, score.reason
    assert {rung.recognizer for rung in score.rungs} == {"colour", "fine", "colour+fine"}
    fused = [rung for rung in score.rungs if rung.recognizer == "colour+fine"]
    assert {rung.rung for rung in fused} == {"A5"}
    assert max(rung.tar.value for rung in fused) > 0.8
