"""Early stopping as trials decide it from each other's files, whatever process they live in."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from veil.config import SearchConfig, StudyConfig
from veil.errors import ConfigError, StoppedEarlyError, VeilError
from veil.interfaces import TrialOutcome
from veil.objectives import get_objective
from veil.protocol.score import Estimate
from veil.records import EarlyScore
from veil.study import StudyFolder
from veil.sweep.stopping import EarlyStopping, is_control, place_of

RUNGS = (9, 27)


def exact(**values: float) -> dict[str, Estimate]:
    return {name: Estimate(value=value, low=value, high=value) for name, value in values.items()}


def judge(outcome: TrialOutcome) -> tuple[dict[str, Estimate], str | None]:
    return exact(**(outcome.synthetic or {})), None


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path / "toy")


def trial(folder: StudyFolder, number: int, judge: Callable = judge, **changes: object) -> EarlyStopping:
    stopping = {"rungs": RUNGS, "controls": 0.0} | changes
    return EarlyStopping(folder, SearchConfig.parse({"early_stopping": stopping}, "test"), number, judge)


def point(leak: float, utility: float) -> TrialOutcome:
    return TrialOutcome(synthetic={"leak": leak, "utility": utility})


def verdicts(folder: StudyFolder, number: int) -> list[tuple[int, str | None, int | None, int | None]]:
    return [(score.images, score.verdict, score.rank, score.of) for score in folder.early_scores(number)]


def test_trials_that_too_many_beat_end_themselves_and_say_why(folder: StudyFolder) -> None:
    trial(folder, 0)(point(0.2, 0.8), 9)
    trial(folder, 1)(point(0.1, 0.9), 9)
    with pytest.raises(StoppedEarlyError, match=r"^rung 9: rank 3 of 3 by leak, utility$") as stop:
        trial(folder, 2)(point(0.3, 0.7), 9)
    assert stop.value.images == 9
    assert [verdicts(folder, number) for number in range(3)] == [
        [(9, "goes on", 1, 1)], [(9, "goes on", 1, 2)], [(9, "stopped", 3, 3)],
    ]  # fmt: skip


def test_rungs_are_compared_each_on_its_own(folder: StudyFolder) -> None:
    for number in range(3):
        trial(folder, number)(point(0.3 - 0.1 * number, 0.5), 9)
    trial(folder, 0)(point(0.9, 0.1), 27)
    assert verdicts(folder, 0) == [(9, "goes on", 1, 1), (27, "goes on", 1, 1)]


def test_one_that_cannot_be_judged_goes_on_and_is_compared_with_none(folder: StudyFolder) -> None:
    trial(folder, 0, lambda outcome: ({}, "the control is too low"))(point(0, 1), 9)
    assert verdicts(folder, 0) == [(9, "goes on", None, None)]
    assert folder.early_scores(0)[0].reason == "the control is too low"
    trial(folder, 1)(point(0.9, 0.1), 9)
    assert verdicts(folder, 1) == [(9, "goes on", 1, 1)]


def test_a_continued_trial_is_not_judged_again(folder: StudyFolder) -> None:
    judged = []

    def counting(outcome: TrialOutcome) -> tuple[dict[str, Estimate], str | None]:
        judged.append(outcome)
        return judge(outcome)

    assert trial(folder, 0).rungs_left() == RUNGS
    # Killed after its score was published and before it was compared.
    folder.write_early_score(0, EarlyScore(images=9, objectives=exact(leak=0.2, utility=0.8)))
    assert trial(folder, 0).rungs_left() == RUNGS
    trial(folder, 0, counting)(point(0.5, 0.5), 9)
    assert not judged and verdicts(folder, 0) == [(9, "goes on", 1, 1)]
    assert folder.early_scores(0)[0].objectives["leak"].value == 0.2
    assert trial(folder, 0).rungs_left() == (27,)


def test_a_trial_that_was_stopped_stays_so(folder: StudyFolder) -> None:
    score = EarlyScore(images=9, objectives=exact(leak=0.2, utility=0.8), rank=2, of=2, verdict="stopped")
    folder.write_early_score(0, score)
    with pytest.raises(StoppedEarlyError, match="rung 9: rank 2 of 2 by leak, utility"):
        trial(folder, 0).rungs_left()


def test_controls_run_on_and_move_no_other_trial(folder: StudyFolder) -> None:
    trial(folder, 0)(point(0.1, 0.9), 9)
    control = trial(folder, 1, controls=1.0)
    control(point(0.9, 0.1), 9)
    assert verdicts(folder, 1) == [(9, "control", 2, 2)]
    control(point(0.9, 0.1), 27)
    assert not folder.rung(27) and trial(folder, 1, controls=1.0).rungs_left() == ()


def test_controls_are_drawn_by_number() -> None:
    drawn = [is_control(0, number, 0.2) for number in range(2000)]
    assert 0.17 < sum(drawn) / 2000 < 0.23
    assert drawn == [is_control(0, number, 0.2) for number in range(2000)]
    assert drawn != [is_control(1, number, 0.2) for number in range(2000)]
    assert not any(is_control(0, number, 0.0) for number in range(100))


def test_objectives_count_by_the_width_of_their_bounds() -> None:
    objectives = [get_objective("leak"), get_objective("realism")]

    def at(leak: float, realism: float) -> EarlyScore:
        return EarlyScore(images=9, objectives=exact(leak=leak, realism=realism))

    ends, middle = [at(0.0, 10.0), at(1.0, 0.0)], [at(0.1, 5.0), at(0.6, 4.0)]
    # Realism reaches from 0 to 10. By its plain numbers, the first of the middle would be farther from both ends.
    assert place_of(middle[1], [*ends, middle[0]], objectives) == (3, 4)
    assert place_of(middle[0], [*ends, middle[1]], objectives) == (4, 4)


def test_trials_side_by_side_never_read_half_a_score(folder: StudyFolder) -> None:
    def run(number: int) -> str:
        try:
            trial(folder, number)(point(0.01 * number, 0.5), 9)
        except StoppedEarlyError:
            return "stopped"
        return "goes on"

    with ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(run, range(40)))
    assert [score.verdict for score in folder.rung(9).values()] == ended
    assert 1 <= ended.count("goes on") < 40 and ended[0] == "goes on"


def test_damaged_score_is_named(folder: StudyFolder) -> None:
    trial(folder, 3)(point(0.1, 0.9), 9)
    (folder.trial(3) / "rungs" / "9.json").write_text("{")
    with pytest.raises(VeilError, match=r"00003/rungs/9\.json"):
        trial(folder, 4)(point(0.1, 0.9), 9)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rungs": []}, "rungs"),
        ({"rungs": [9, 9]}, "rise from 1 or more"),
        ({"rungs": [0, 9]}, "rise from 1 or more"),
        ({"rungs": [9], "eta": 1}, "eta"),
        ({"rungs": [9], "attackers": []}, "attackers"),
        ({"rungs": [9], "controls": 1.5}, "controls"),
    ],
)
def test_wrong_settings_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        StudyConfig.parse({"search": {"early_stopping": values}}, "test")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"constraints": {"realism": 0.1}}, "none of the objectives"),
        ({"constraints": {"leak": 0.1}, "sampler": "random"}, "constraints needs a sampler that learns"),
        ({"warm_start": "other", "sampler": "random"}, "warm_start needs a sampler that learns"),
    ],
)
def test_settings_that_the_sampler_cannot_heed_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        StudyConfig.parse({"search": values}, "test")
