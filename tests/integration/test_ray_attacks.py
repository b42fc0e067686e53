"""Attackers as Ray tasks: the same findings as one after another, sharing what they are given."""

from pathlib import Path

import attack_sets
import pytest
import ray
from attack_sets import QUICK, PatternRecognizer, StripeExpression, pattern_faces, quick_suite

from veil.protocol.evaluation import Judge
from veil.protocol.jobs import run_in_turn
from veil.sweep.attacks import RayAttackRunner

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def local_ray():
    # The nets of these tests lie beside the tests, where workers would not look.
    helpers = {"env_vars": {"PYTHONPATH": str(Path(attack_sets.__file__).parent)}}
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200 * 1024**2,
        runtime_env=helpers,
    )
    yield
    ray.shutdown()


def judged(folder, runner):
    judge = Judge(
        suite=quick_suite(attackers=("control", "naive", "informed"), strength=QUICK),
        recognizers={"pattern": PatternRecognizer(), "finer": PatternRecognizer("finer", cells=14)},
        evaluator=StripeExpression(),
        faces=pattern_faces(),
        target_split="search",
        cache=folder,
        run_attacks=runner,
    )
    return judge.score(lambda faces: -faces.images).score


def test_side_by_side_finds_what_one_after_another_finds(tmp_path, local_ray, monkeypatch):
    stored = []
    put = ray.put
    monkeypatch.setattr(ray, "put", lambda value: stored.append(type(value).__name__) or put(value))
    alone, together = judged(tmp_path / "a", run_in_turn), judged(tmp_path / "b", RayAttackRunner(2))
    assert alone.valid and together.valid
    assert together.objectives == alone.objectives
    assert together.rungs == alone.rungs
    # Two recognizers, each with a calibration and a score; the nets themselves only once.
    assert stored.count("AttackSetting") == 4 and stored.count("PatternRecognizer") == 2
