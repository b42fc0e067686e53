"""A study that starts from another one: what is taken over, what is refused, and that it never counts as its own."""

import shutil
from pathlib import Path

import optuna
import pytest
from optuna.trial import create_trial

from trainables.analytic import evaluate
from veil.config import StudyConfig
from veil.errors import ConfigError, ProtocolError
from veil.protocol.score import Estimate
from veil.records import Manifest, TrialRecord
from veil.study import StudyFolder
from veil.sweep.space import load_space, sample_settings
from veil.sweep.storage import finished_count, open_study, tell
from veil.sweep.warm_start import WARM_START_ATTRIBUTE, check_warm_start
from veil.trial_log import finished_trials, open_journal

MANIFEST = Manifest(
    space="analytic", base_hash="b", suite_hash="s", data_hash="d", contract_hash="c", objectives=("leak", "utility")
)
SPACE = load_space("analytic")


def config(root: Path, study: str, **search: object) -> StudyConfig:
    values = {"space": "analytic", "trials": 20, **search}
    return StudyConfig.parse({"study": study, "root": str(root), "search": values}, "test")


def run(study: optuna.Study, folder: StudyFolder, count: int) -> None:
    """So many trials of the analytic problem, recorded and told."""
    for _ in range(count):
        trial = study.ask()
        _, sampled = sample_settings(SPACE, trial)
        values = dict(zip(("leak", "utility"), evaluate(**sampled), strict=True))
        record = TrialRecord(
            number=trial.number, state="valid", trainable="analytic", family="analytic", label="point", sampled=sampled,
            objectives={name: Estimate(value=value, low=value, high=value) for name, value in values.items()},
        )  # fmt: skip
        folder.write_record(record)
        tell(study, trial, record, {})


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of studies with one of 12 trials, the last of which has failed."""
    root = tmp_path_factory.mktemp("studies")
    folder = StudyFolder(root / "old")
    folder.create(config(root, "old"), MANIFEST)
    study = open_study(folder, config(root, "old").search, SPACE)
    run(study, folder, 11)
    failed = TrialRecord(number=11, state="failed", trainable="analytic", family="analytic", label="p", reason="died")
    folder.write_record(failed)
    tell(study, study.ask(), failed, {})
    return root


@pytest.fixture
def root(old: Path, tmp_path: Path) -> Path:
    """A copy for one test: the schema of a database takes long to make."""
    return Path(shutil.copytree(old, tmp_path / "studies"))


def start(root: Path, **search: object) -> tuple[optuna.Study, StudyFolder]:
    settings = config(root, "new", warm_start="old", **search)
    folder = StudyFolder(root / "new")
    if not folder.path.exists():
        folder.create(settings, MANIFEST)
    check_warm_start(settings, MANIFEST, SPACE)
    return open_study(folder, settings.search, SPACE), folder


def marks(study: optuna.Study) -> list[str]:
    return [trial.user_attrs[WARM_START_ATTRIBUTE] for trial in study.trials if trial.user_attrs.get("warm_start")]


def test_valid_trials_are_known_once_and_never_counted(root: Path) -> None:
    study, folder = start(root, constraints={"leak": 0.3})
    assert marks(study) == [f"old/{number}" for number in range(11)]
    assert finished_count(study) == 0 and not folder.records()
    theirs = StudyFolder(root / "old").records()
    for trial, record in zip(study.trials, theirs, strict=False):
        assert trial.params == record.sampled
        assert trial.values == [record.objectives[name].value for name in ("leak", "utility")]
        assert trial.constraints == {"leak": pytest.approx(trial.values[0] - 0.3)}
    run(study, folder, 1)
    again, _ = start(root)
    assert len(marks(again)) == 11 and len(again.trials) == 12
    assert finished_count(again) == 1 and folder.records()[0].number == 11
    assert [trial.number for trial in finished_trials(folder) if "warm_start" not in trial.user_attrs] == [11]


def test_half_a_warm_start_is_completed(root: Path) -> None:
    settings = config(root, "new", warm_start="old")
    folder = StudyFolder(root / "new")
    folder.create(settings, MANIFEST)
    study = optuna.create_study(
        storage=open_journal(folder.optuna_path), study_name="new", directions=["minimize", "maximize"]
    )
    known = finished_trials(StudyFolder(root / "old"))[0]
    study.add_trial(create_trial(values=known.values, user_attrs={WARM_START_ATTRIBUTE: "old/0"}))
    assert marks(start(root)[0]) == [f"old/{number}" for number in range(11)]


@pytest.mark.parametrize(("sampler", "good", "bad"), [("tpe", 6, 34), ("nsga2", 50, 0)])
def test_the_sampler_learns_from_it(root: Path, sampler: str, good: int, bad: int) -> None:
    """Its first trials are drawn near the good ones of the other study, not at random."""
    folder = StudyFolder(root / "old")
    study = open_study(folder, config(root, "old").search, SPACE)
    for number in range(good):
        study.enqueue_trial({"x": number / good, "y": 0.01 + 0.001 * number})
    for number in range(bad):
        study.enqueue_trial({"x": number / bad, "y": 0.3 + 0.7 * number / bad})
    run(study, folder, good + bad)
    fresh, _ = start(root, sampler=sampler)
    drawn = [sample_settings(SPACE, fresh.ask())[1]["y"] for _ in range(12)]
    assert sum(y < 0.1 for y in drawn) >= 5, f"at random it would be one: {drawn}"


@pytest.mark.parametrize("field", ["suite_hash", "data_hash", "contract_hash"])
def test_other_conditions_are_refused(root: Path, field: str) -> None:
    other = MANIFEST.model_copy(update={field: "other"})
    with pytest.raises(ProtocolError, match=f"'old' was made under other conditions .{field}: . there, other here"):
        check_warm_start(config(root, "new", warm_start="old"), other, SPACE)


def test_a_study_that_cannot_help_is_refused(root: Path) -> None:
    def check(name: str, manifest: Manifest = MANIFEST) -> None:
        check_warm_start(config(root, "new", warm_start=name), manifest, SPACE)

    with pytest.raises(ConfigError, match="no study 'odl'.*did you mean 'old'"):
        check("odl")
    with pytest.raises(ConfigError, match="the study itself"):
        check("new")
    with pytest.raises(ProtocolError, match="objectives"):
        check("old", MANIFEST.model_copy(update={"objectives": ("leak",)}))
    empty = StudyFolder(root / "empty")
    empty.create(config(root, "empty"), MANIFEST)
    with pytest.raises(ConfigError, match="no trial of study 'empty' has a valid score"):
        check("empty")


def test_other_choices_for_a_setting_are_refused(root: Path) -> None:
    class Choices:
        trainables = ("analytic",)

        def anchors(self) -> tuple:
            return ()

        def suggest(self, trial: optuna.Trial, trainable: str) -> dict[str, object]:
            return {"x": trial.suggest_categorical("x", (0.1, 0.2)), "y": trial.suggest_float("y", 0, 1)}

    with pytest.raises(ConfigError, match="'old' sampled 'x' in another way"):
        check_warm_start(config(root, "new", warm_start="old"), MANIFEST, Choices())
