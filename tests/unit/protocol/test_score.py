"""The score card survives JSON, and the suite hash moves with everything that changes a score's meaning."""

import pytest

from veil.config import SuiteConfig
from veil.errors import ConfigError
from veil.protocol.score import (
    Estimate,
    ProxyReading,
    RealismScore,
    RungScore,
    TrialScore,
    attacker_configs,
    suite_hash,
)


def test_json_round_trip_is_exact():
    rung = RungScore(
        name="parrot", rung="A3", recognizer="sface", tar=Estimate(value=0.1 + 0.2, low=0.1, high=1 / 3), eer=0.1,
        auc=0.9, rank_1=0.5, rank_5=0.8, n_identities=10, n_genuine=450, n_impostor=4500, floor_mean=0.01,
        floor_95=0.02, diagnostics={"a": 1.0},
    )  # fmt: skip
    score = TrialScore(
        valid=True,
        objectives={"leak": rung.tar},
        rungs=(rung,),
        strongest="parrot",
        realism=RealismScore(ssim=1.0, psnr=None),
        proxy={"p": ProxyReading(cosine=0.1, naive_tar=0.01)},
        target_split="search",
        n_images=100,
        undetected=0,
        suite_hash="a",
        data_hash="b",
        contract_hash="c",
    )
    assert TrialScore.model_validate_json(score.model_dump_json()) == score


def test_suite_hash_moves_with_what_it_covers_and_with_nothing_else():
    def value(suite=None, recognizers=None, evaluator=("e", "2")):
        return suite_hash(suite or SuiteConfig(), recognizers or {"r": "1"}, evaluator)

    assert value() == value()
    assert value(SuiteConfig(strength={"informed": {"epochs": 150}})) == value(), "a default spelled out is the same"
    others = [
        value(SuiteConfig(far=0.02)),
        value(SuiteConfig(seed=1)),
        value(SuiteConfig(attackers=("control", "naive"))),
        value(SuiteConfig(strength={"informed": {"epochs": 10}})),
        value(recognizers={"r": "9"}),
        value(recognizers={"s": "1"}),
        value(evaluator=("e", "9")),
    ]
    assert len({value(), *others}) == 1 + len(others)


def test_wrong_strength_is_a_configuration_error():
    with pytest.raises(ConfigError, match="epochs"):
        attacker_configs(SuiteConfig(strength={"informed": {"epoch": 10}}))
    with pytest.raises(ConfigError, match="epochs"):
        attacker_configs(SuiteConfig(strength={"informed": {"epochs": 0}}))
    with pytest.raises(ConfigError, match="informed"):
        attacker_configs(SuiteConfig(attackers=("control", "naive"), strength={"informed": {}}))
    with pytest.raises(ConfigError, match="did you mean 'parrot'"):
        attacker_configs(SuiteConfig(attackers=("control", "parot")))
