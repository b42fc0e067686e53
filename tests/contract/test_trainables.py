"""What every registered trainable must keep; a new file under `trainables` is tested on arrival."""

import inspect
import json

import optuna
import pytest

from veil.config import Settings
from veil.errors import ConfigError, VeilError
from veil.registry import search_spaces, trainables

GIVEN = {"published": {"method": "deepprivacy2", "folder": "outputs", "export": "faces"}}
"""Settings of trainables that no space explores and that have no default, since they read files of the user's own."""


def examples(name):
    """Configurations that people run: the default where there is one, and samples of every space that explores it."""
    config = trainables.get(name).Config
    if name in GIVEN:
        return [config.parse(GIVEN[name], where=name)]
    found = [] if any(field.is_required() for field in config.model_fields.values()) else [config()]
    for space in (search_spaces.get(space)() for space in search_spaces.names()):
        if name in space.trainables:
            study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
            found += [config.parse(space.suggest(study.ask(), name), where=name) for _ in range(4)]
    return found


@pytest.fixture(params=trainables.names())
def trainable(request):
    return trainables.get(request.param)()


@pytest.fixture(params=[(name, index) for name in trainables.names() for index in range(len(examples(name)))], ids=str)
def configured(request):
    name, index = request.param
    return trainables.get(name)(), examples(name)[index]


@pytest.mark.parametrize("name", trainables.names())
def test_has_a_configuration_that_runs(name):
    assert examples(name), "give every setting a default, or explore it in a search space"


def test_names_its_family_and_whether_it_needs_faces(trainable):
    assert isinstance(trainable.family, str) and trainable.family
    assert isinstance(trainable.needs_faces, bool)
    assert inspect.getdoc(type(trainable)), "say what it is"


def test_one_that_can_be_stopped_early_counts_its_training_in_images(trainable):
    if not getattr(trainable, "stoppable", False):
        pytest.skip("trains nothing, or nothing of its own")
    assert trainable.Config.model_fields["images"].annotation is int


def test_run_and_load_take_what_a_trial_gives_them(trainable):
    assert list(inspect.signature(trainable.run).parameters) == ["config", "context"]
    assert list(inspect.signature(trainable.load).parameters) == ["config", "folder"]


def test_settings_survive_storage_and_keep_their_hash(configured):
    trainable, config = configured
    assert issubclass(trainable.Config, Settings)
    values = config.model_dump(mode="json")
    again = trainable.Config.parse(json.loads(json.dumps(values, allow_nan=False)), where="round trip")
    assert again == config
    assert again.content_hash() == config.content_hash()


def test_unknown_settings_are_refused_with_a_hint(trainable):
    name = next(iter(trainable.Config.model_fields))
    with pytest.raises(ConfigError, match=f"unknown setting '{name}_'; did you mean '{name}'"):
        trainable.Config.parse({f"{name}_": 1}, where="trial")


def test_label_is_one_short_line(configured):
    trainable, config = configured
    label = trainable.label(config)
    assert label and label == label.strip()
    assert "\n" not in label
    assert len(label) <= 60, "labels stand beside the marks of a plot; a sum of three signals, λ and a code fit"


def test_a_trained_anonymizer_cannot_be_loaded_from_an_empty_folder(configured, tmp_path):
    trainable, config = configured
    if trainable.family == "classical" or getattr(config, "trainable", None) == "baseline":
        pytest.skip("a classical anonymizer is its configuration")
    with pytest.raises(VeilError):
        trainable.load(config, tmp_path)
