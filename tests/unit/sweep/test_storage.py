"""The study's database: anchors once, interrupted trials continued, and only valid trials told as complete."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from trainables.analytic import evaluate
from veil.config import SearchConfig, StudyConfig
from veil.errors import ConfigError
from veil.protocol.score import Estimate
from veil.records import EarlyScore, Manifest, TrialRecord
from veil.study import StudyFolder
from veil.sweep.space import anchor_settings, load_space, sample_settings
from veil.sweep.storage import finished_count, interrupted_trials, make_sampler, open_study, tell
from veil.trial_log import finished_trials

SEARCH = SearchConfig(space="smoke", trials=4)


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    manifest = Manifest(
        space="smoke", base_hash="b", suite_hash="a", data_hash=None, contract_hash=None, objectives=SEARCH.objectives
    )
    folder = StudyFolder(tmp_path / "toy")
    folder.create(StudyConfig(study="toy", root=tmp_path), manifest)
    return folder


def record(number: int, state: str) -> TrialRecord:
    exact = {name: Estimate(value=value, low=value, high=value) for name, value in (("utility", 0.7), ("leak", 0.2))}
    return TrialRecord(
        number=number,
        state=state,
        trainable="baseline",
        family="classical",
        label="blur",
        objectives=exact if state == "valid" else {},
        reason=None if state == "valid" else "because",
    )


def stopped(number: int) -> TrialRecord:
    exact = record(number, "valid").objectives
    early = EarlyScore(images=9, objectives=exact, rank=2, of=3, verdict="stopped")
    return record(number, "stopped").model_copy(update={"early_scores": (early,)})


def reopen(folder: StudyFolder) -> optuna.Study:
    return open_study(folder, SEARCH, load_space("smoke"))


def test_anchors_are_enqueued_once_and_no_more_than_trials(folder: StudyFolder) -> None:
    first, again = reopen(folder), reopen(folder)
    assert len(first.trials) == len(again.trials) == SEARCH.trials
    more = open_study(folder, SEARCH.model_copy(update={"trials": 6}), load_space("smoke"))
    anchors = load_space("smoke").anchors()
    assert [trial.user_attrs["trainable"] for trial in more.trials] == [anchor.trainable for anchor in anchors[:6]]


def test_half_enqueued_anchors_are_completed(folder: StudyFolder) -> None:
    open_study(folder, SEARCH.model_copy(update={"trials": 2}), load_space("smoke"))
    anchors = load_space("smoke").anchors()
    fixed = [trial.system_attrs["fixed_params"] for trial in reopen(folder).trials]
    assert fixed == [anchor.params for anchor in anchors[: SEARCH.trials]]


def test_anchors_of_the_settings_come_first_and_can_be_added_later(folder: StudyFolder) -> None:
    space = load_space("smoke")
    blur, pixelate = ({"method": "blur", "kernel": 5}, {"method": "pixelate", "block": 4})

    def ask(trials: int, *settings: dict[str, Any], times: int) -> list[tuple[str, dict[str, Any]]]:
        anchors = [{"trainable": "baseline", "settings": each} for each in settings]
        study = open_study(folder, SearchConfig.parse({"trials": trials, "anchors": anchors}, "test"), space)
        found = []
        for _ in range(times):
            trial = study.ask()
            found.append(sample_settings(space, trial))
            tell(study, trial, record(trial.number, "valid"), {})
        return found

    own = [(anchor.trainable, anchor_settings(space, anchor)) for anchor in space.anchors()[:2]]
    assert ask(2, blur, times=2) == [("baseline", blur), own[0]]
    added, sampled = ask(3, pixelate, blur, times=2)
    assert added == ("baseline", pixelate)
    assert sampled[0] == "gan_anonymizer", "then the sampler is asked"


def test_values_are_told_in_the_order_of_the_objectives(folder: StudyFolder) -> None:
    study = reopen(folder)
    tell(study, study.ask(), record(0, "valid"), {})
    assert study.trials[0].values == [0.2, 0.7]
    assert study.directions == [optuna.study.StudyDirection.MINIMIZE, optuna.study.StudyDirection.MAXIMIZE]


@pytest.mark.parametrize("state", ["invalid", "diverged", "failed"])
def test_a_trial_without_a_valid_score_fails_with_its_reason(folder: StudyFolder, state: str) -> None:
    study = reopen(folder)
    tell(study, study.ask(), record(0, state), {})
    (trial,) = study.get_trials(states=(TrialState.FAIL,))
    assert trial.values is None
    assert trial.user_attrs["state"] == state and trial.user_attrs["reason"] == "because"


def test_a_trial_that_was_stopped_early_is_pruned_without_values(folder: StudyFolder) -> None:
    study = reopen(folder)
    tell(study, study.ask(), stopped(0), {})
    (trial,) = study.get_trials(states=(TrialState.PRUNED,))
    assert trial.values is None and not trial.intermediate_values
    assert finished_count(study) == 1 and not study.best_trials


def test_constraints_are_told_with_the_result(folder: StudyFolder) -> None:
    study = reopen(folder)
    for number, outcome in enumerate((record(0, "valid"), stopped(1), record(2, "invalid"))):
        assert study.ask().number == number
        tell(study, optuna.Trial(study, study.trials[number]._trial_id), outcome, {"leak": 0.15, "utility": 0.5})
    told = [pytest.approx(trial.constraints) for trial in study.trials[:3]]
    assert told == [{"leak": 0.05, "utility": -0.2}, {"leak": 0.05, "utility": -0.2}, {}]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_warm_start_is_not_drawn_again_by_its_own_seed(sampler: str) -> None:
    def first(**search: str) -> float:
        study = optuna.create_study(sampler=make_sampler(SearchConfig(sampler=sampler, **search)))
        return study.ask().suggest_float("x", 0, 1)

    assert first() == first() != first(warm_start="old") == first(warm_start="old") != first(warm_start="older")


def test_the_sampler_looks_for_what_keeps_the_constraints() -> None:
    shares = []
    for constraints in ({}, {"leak": 0.2}):
        search = SearchConfig.parse({"space": "analytic", "constraints": constraints}, "test")
        study = optuna.create_study(directions=["minimize", "maximize"], sampler=make_sampler(search))
        for number in range(100):
            trial = study.ask()
            leak, utility = evaluate(trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1))
            exact = {"leak": leak, "utility": utility}
            objectives = {name: Estimate(value=value, low=value, high=value) for name, value in exact.items()}
            ended = record(number, "valid").model_copy(update={"objectives": objectives})
            tell(study, trial, ended, search.constraints)
        shares.append(sum(trial.values[0] <= 0.2 for trial in study.trials[50:]) / 50)
    assert shares[1] > shares[0] + 0.15, shares


def test_interrupted_trials_keep_their_numbers_and_recorded_ones_are_told(folder: StudyFolder) -> None:
    study = reopen(folder)
    for _ in range(3):
        study.ask()
    folder.write_record(record(1, "valid"))  # it ended, but the driver was killed before it told
    later = reopen(folder)
    assert [trial.number for trial in interrupted_trials(later, folder, {})] == [0, 2]
    assert finished_count(later) == 1 and later.trials[1].values == [0.2, 0.7]


def test_a_study_of_an_older_veil_is_not_begun_again(folder: StudyFolder) -> None:
    (folder.path / "optuna.db").touch()
    with pytest.raises(ConfigError, match=r"older Veil .*optuna\.db.*--set study=NAME"):
        reopen(folder)


def test_what_a_killed_driver_left_of_a_line_and_its_lock_are_removed(folder: StudyFolder) -> None:
    study = reopen(folder)
    asked = study.ask()
    with folder.optuna_path.open("ab") as journal:
        journal.write(b'{"op_code":4,"worker_id":"')
    (folder.path / "optuna.log.lock").symlink_to(folder.optuna_path)
    again = reopen(folder)
    assert [trial.number for trial in interrupted_trials(again, folder, {})] == [asked.number]
    tell(again, optuna.Trial(again, again.trials[0]._trial_id), record(0, "valid"), {})
    assert [trial.number for trial in finished_trials(folder)] == [0]


def test_a_continued_study_does_not_draw_the_same_again() -> None:
    def first(known: int) -> float:
        study = optuna.create_study(sampler=make_sampler(SearchConfig(sampler="random"), known))
        return study.ask().suggest_float("x", 0, 1)

    assert len({first(known) for known in (0, 1, 2, 20)}) == 4 and first(2) == first(2)


def test_damaged_journal_is_one_clear_error(folder: StudyFolder) -> None:
    folder.optuna_path.write_bytes(b"not a database" * 100)
    with pytest.raises(ConfigError, match=r"optuna\.log"):
        reopen(folder)
