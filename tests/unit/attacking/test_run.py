import pytest

from veil.attacking.run import Plan, chosen_suite, full_ladder
from veil.config import SuiteConfig
from veil.errors import ConfigError, DataError
from veil.registry import attackers


def test_the_full_ladder_has_every_attacker_from_the_control_upwards():
    ladder = full_ladder()
    assert set(ladder) == set(attackers.names())
    assert ladder[:4] == ("control", "naive", "reverse", "parrot")
    rungs = [attackers.get(name).rung for name in ladder]
    assert rungs == sorted(rungs)


def test_the_control_is_always_run_and_order_is_that_of_the_ladder():
    assert chosen_suite(SuiteConfig(), ["parrot", "naive"]).attackers == ("control", "naive", "parrot")


def test_the_full_ladder_unless_settings_name_attackers():
    assert chosen_suite(SuiteConfig(far=0.02), ()).attackers == full_ladder()
    named = SuiteConfig(attackers=("control", "parrot"))
    assert chosen_suite(named, ()).attackers == ("control", "parrot")
    assert chosen_suite(named, ["naive"]).attackers == ("control", "naive")


def test_strength_of_attackers_that_do_not_run_is_left_out():
    strength = {"informed": {"epochs": 9}, "infromed": {"epochs": 9}}
    suite = SuiteConfig(strength=strength)
    assert chosen_suite(suite, ["informed"]).strength == strength
    left = chosen_suite(suite, ["naive"])
    assert left.strength == {"infromed": {"epochs": 9}}, "what nobody knows is kept, so that the judge refuses it"


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        (Plan(attackers=("parott",)), "unknown attacker 'parott'; did you mean 'parrot'"),
        (Plan(recognizers=("sfase",)), "unknown recognizer 'sfase'; did you mean 'sface'"),
        (Plan(pictures=True), "--pictures needs a folder"),
    ],
)
def test_plans_that_cannot_be_carried_out(plan, complaint):
    with pytest.raises(ConfigError, match=complaint):
        plan.check()


@pytest.mark.parametrize("setting", ["out", "json"])
def test_what_cannot_be_written_is_said_before_the_attack(tmp_path, setting):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        Plan(**{setting: tmp_path / "file" / "below" / "x"}).check()
