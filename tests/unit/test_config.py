import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from veil.config import StudyConfig, SuiteConfig, apply_overrides, flatten, hash_values, load_study_config
from veil.errors import ConfigError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def write(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_a_valid_study():
    config = StudyConfig()
    assert config.folder == config.root / "smoke"
    assert "control" in config.suite.attackers


def test_yaml_round_trip_keeps_everything(tmp_path):
    config = StudyConfig.parse({"study": "s1", "data": {"splits": {"train": 3}}, "search": {"trials": 4}}, where="test")
    path = write(tmp_path, yaml.safe_dump(config.model_dump(mode="json")))
    assert load_study_config(path) == config
    assert load_study_config(path).content_hash() == config.content_hash()


def test_configurations_are_immutable():
    with pytest.raises(ValidationError):
        StudyConfig().study = "other"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"studdy": "x"}, r"unknown setting 'studdy'; did you mean 'study'\?"),
        ({"search": {"trails": 3}}, r"unknown setting 'search.trails'; did you mean 'trials'\?"),
        ({"data": {"splits": {"tain": 3}}}, r"unknown setting 'data.splits.tain'; did you mean 'train'\?"),
    ],
)
def test_unknown_setting_names_the_nearest(values, message):
    with pytest.raises(ConfigError, match=message):
        StudyConfig.parse(values, where="study.yaml")


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ({"search": {"trials": 0}}, "search.trials"),
        ({"search": {"sampler": "best"}}, "search.sampler"),
        ({"search": {"objectives": ["leek"]}}, "did you mean 'leak'"),
        ({"suite": {"far": 1.0}}, "suite.far"),
        ({"suite": {"attackers": ["naive"]}}, "'control'"),
        ({"data": {"splits": {"sealed": 1}}}, "data.splits.sealed"),
        ({"roles": {"proxies": []}}, "roles.proxies"),
        ({"study": "../elsewhere"}, "study"),
        ({"study": ""}, "study"),
    ],
)
def test_wrong_values_name_file_setting_and_finding(values, setting):
    with pytest.raises(ConfigError, match="^my.yaml: ") as error:
        StudyConfig.parse(values, where="my.yaml")
    assert setting in str(error.value)


def test_all_mistakes_are_reported_at_once():
    with pytest.raises(ConfigError) as error:
        StudyConfig.parse({"search": {"trials": 0, "seeed": 1}}, where="x")
    assert "search.trials" in str(error.value)
    assert "search.seeed" in str(error.value)


def test_overrides_reach_nested_settings(tmp_path):
    path = write(tmp_path, "study: s1\nsearch: {trials: 4, seed: 7}\n")
    config = load_study_config(path, ["search.trials=9", "suite.far=0.05", "roles.proxies=[a, b]"])
    assert (config.search.trials, config.search.seed) == (9, 7)
    assert config.suite.far == 0.05
    assert config.roles.proxies == ("a", "b")


def test_override_of_an_unknown_setting_names_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match=r"'search.trial'; did you mean 'trials'\?"):
        load_study_config(write(tmp_path, ""), ["search.trial=9"])


def test_override_without_value_is_refused():
    with pytest.raises(ConfigError, match="expected a.b=value"):
        apply_overrides({}, ["search.trials"])


def test_override_through_a_value_is_refused():
    with pytest.raises(ConfigError, match="'study' is a value"):
        apply_overrides({"study": "s1"}, ["study.name=s2"])


def test_overrides_leave_the_given_values_alone():
    values = {"search": {"trials": 4}}
    apply_overrides(values, ["search.trials=9"])
    assert values == {"search": {"trials": 4}}


def test_an_override_may_hold_equal_signs():
    assert apply_overrides({}, ["tracking.uri=http://h/?a=b"]) == {"tracking": {"uri": "http://h/?a=b"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [("- a\n- b\n", "expected a mapping of settings, found list"), ("a: [1", "not valid YAML")],
)
def test_files_that_are_no_studies(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_study_config(write(tmp_path, text))


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the study file .*absent.yaml: No such file"):
        load_study_config(tmp_path / "absent.yaml")


def test_hash_changes_with_any_setting_of_the_suite():
    assert SuiteConfig().content_hash() == SuiteConfig().content_hash()
    assert SuiteConfig(far=0.02).content_hash() != SuiteConfig().content_hash()
    assert SuiteConfig(strength={"informed": {"epochs": 9}}).content_hash() != SuiteConfig().content_hash()


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_hash_ignores_the_order_of_keys(values):
    assert hash_values(values) == hash_values(dict(reversed(values.items())))
    assert len(hash_values(values)) == 16


@given(st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("xyz"), st.integers(), min_size=1)))
def test_flatten_keeps_every_leaf(values):
    leaves = flatten(values)
    assert leaves == {f"{outer}.{inner}": leaf for outer, group in values.items() for inner, leaf in group.items()}


def test_flattened_settings_are_plain_values():
    assert StudyConfig().flatten()["data.splits.train"] == 12
