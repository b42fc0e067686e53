"""The judge at rungs: the same people and nets as at the end, fewer attackers, and nothing but the objectives."""

from pathlib import Path

import pytest
from attack_sets import PatternRecognizer, StripeExpression, pattern_faces, quick_suite

from veil.config import StudyConfig
from veil.protocol import judging


@pytest.fixture(autouse=True)
def _stand_in_nets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "load_recognizer", lambda name: PatternRecognizer())
    monkeypatch.setattr(judging, "load_expression_net", lambda name: StripeExpression())


def study(**stopping: object) -> StudyConfig:
    suite = quick_suite(attackers=("control", "naive", "parrot", "informed"), strength={"informed": {"epochs": 1}})
    values = {"search": {"early_stopping": {"rungs": [9], **stopping}}}
    return StudyConfig.parse(values, "test").model_copy(update={"suite": suite})


def test_only_the_attackers_of_early_stopping_attack(tmp_path: Path) -> None:
    judge = judging.open_early_judge(study(attackers=["naive"]), pattern_faces(), tmp_path)
    score = judge.score(lambda faces: -faces.images).score
    assert score.valid, score.reason
    assert {rung.name for rung in score.rungs} == {"control", "naive"}
    assert set(score.objectives) == {"leak", "utility"}
    assert score.detection is None and not score.proxy and not score.labelled_sets
    assert judge.suite.strength == {}, "an attacker that is not asked needs no strength"


def test_realism_is_measured_where_it_is_an_objective(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(judging, "load_feature_net", lambda name: asked.append(name))
    config = study()
    for objectives in (("leak",), ("leak", "realism")):
        search = config.search.model_copy(update={"objectives": objectives})
        judging.open_early_judge(config.model_copy(update={"search": search}), pattern_faces(), tmp_path)
    assert asked == [config.suite.features]
