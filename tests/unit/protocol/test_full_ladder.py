"""The suite of picked points: every attacker, several seeds of each that has chance in it, and the worst of them."""

from typing import ClassVar

import numpy as np
import pytest
from attack_sets import quick_suite, simulated_setting

from veil.config import SealedConfig, Settings, SuiteConfig
from veil.errors import ConfigError
from veil.protocol.full_ladder import full_ladder, sealed_suite
from veil.protocol.jobs import AttackJob, repetitions
from veil.protocol.pairs import compare
from veil.protocol.score import attacker_configs, suite_hash
from veil.registry import attackers


def test_every_rung_and_at_least_three_seeds():
    suite = sealed_suite(SuiteConfig(far=0.02, strength={"informed": {"epochs": 40}}), SealedConfig())
    assert suite.attackers == full_ladder() and suite.far == 0.02
    assert {attackers.get(name).rung for name in suite.attackers} == {f"A{rung}" for rung in range(7)}
    configs = attacker_configs(suite)
    assert configs["informed"].epochs == 40 and configs["finetuned"].seeds == 3
    assert {name: list(repetitions(suite, attackers.get(name).rung, configs[name])) for name in suite.attackers} == {
        "control": [None], "naive": [None], "reverse": [None], "parrot": [None],
        "informed": [0, 1, 2], "finetuned": [None], "reversal": [0, 1, 2],
    }  # fmt: skip


def test_settings_of_the_sealed_part_lie_over_those_of_the_suite():
    study = SuiteConfig(strength={"informed": {"epochs": 40, "folds": 4}})
    suite = sealed_suite(study, SealedConfig(attacker_seeds=4, strength={"informed": {"epochs": 50}}))
    informed, tuned = (attacker_configs(suite)[name] for name in ("informed", "finetuned"))
    assert (informed.epochs, informed.folds, suite.attacker_seeds, tuned.seeds) == (50, 4, 4, 4)
    with pytest.raises(ConfigError, match="finetund"):
        sealed_suite(study, SealedConfig(strength={"finetund": {"epochs": 2}}))
    with pytest.raises(ConfigError, match="attacker_seeds"):
        SealedConfig.parse({"attacker_seeds": 2}, where="sealed")


def test_suites_of_one_seed_keep_the_hash_that_they_had():
    assert "attacker_seeds" not in SuiteConfig().model_dump(mode="json")
    several = SuiteConfig(attacker_seeds=2)
    assert SuiteConfig.model_validate(several.model_dump(mode="json")) == several
    assert len({suite_hash(suite, {"r": "0"}, ("e", "1")) for suite in (SuiteConfig(), several)}) == 2


class Lucky:
    """Stands for an attacker that finds everybody with its second seed alone."""

    rung: ClassVar[str] = "A4"
    ensembles: ClassVar[bool] = False
    Config: ClassVar[type[Settings]] = Settings

    def __init__(self, config):
        pass

    def __call__(self, setting):
        seen = setting.target.clear if setting.seed == quick_suite().seed + 1 else np.ones_like(setting.target.clear)
        return [compare("lucky", setting.target, seen, seen, "both")]


def test_each_seed_is_a_job_with_comparisons_of_its_own(monkeypatch):
    monkeypatch.setitem(attackers._plugins, "lucky", Lucky)
    setting = simulated_setting(lambda embeddings, people: embeddings)
    found = {}
    for repetition in repetitions(quick_suite(attacker_seeds=3), "A4", Settings()):
        (item,) = AttackJob("r", "lucky", Settings(), setting, repetition).run().comparisons
        found[item.name] = item.scores[item.genuine].mean() - item.scores[~item.genuine].mean()
    assert list(found) == ["lucky/seed0", "lucky/seed1", "lucky/seed2"]
    assert found["lucky/seed1"] > 0.3 and found["lucky/seed0"] == found["lucky/seed2"] == 0
    (alone,) = AttackJob("r", "lucky", Settings(), setting).run().comparisons
    assert alone.name == "lucky"
