"""What may be said of differences, and which trials are compared."""

import numpy as np
import pytest

from veil.errors import ProtocolError
from veil.frontier.points import Interval
from veil.frontier.robustness import RobustnessPoint
from veil.frontier.sensitivity import SensitivityPoint, compare_detectors
from veil.interfaces import Question
from veil.metrics.intervals import PairedDifference, holm, paired_difference
from veil.metrics.repeated import Repeated, repeated_difference
from veil.report.ablations import answer_questions
from veil.report.best_of_family import against_baselines
from veil.report.changes import attacker_changes, detector_changes
from veil.report.findings import JudgedTrial, change_sentence
from veil.report.forest import forest_figure
from veil.report.fronts import group_compute

PEOPLE = 10
LOWER, NEAR, WIDE, NONE = (
    PairedDifference(-0.2, -0.3, -0.1, 0.001),
    PairedDifference(0.01, -0.02, 0.04, 0.5),
    PairedDifference(0.01, -0.2, 0.22, 0.9),
    PairedDifference(0.0, 0.0, 0.0, 1.0),
)


def trial(number, utility=0.6, leak=0.5, family="gan", people=PEOPLE, **values):
    scores = np.random.default_rng(number).normal(0, 0.05, people)
    scores -= scores.mean()
    means = {"leak": leak, "utility": utility}
    left_out = {name: mean - scores / (people - 1) for name, mean in means.items()}
    return JudgedTrial(number=number, label=f"t{number}", family=family, values=means, left_out=left_out, **values)


def said(p=0.001, **differences):
    return change_sentence("removing it", differences, dict.fromkeys(differences, p), 9, "10 people and 3 trainings")


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (said(utility=LOWER, leak=NEAR), "removing it costs 0.20 [0.10, 0.30] utility at equal leak"),
        (said(utility=LOWER, leak=WIDE), "removing it costs 0.20 [0.10, 0.30] utility; whether at equal leak is open"),
        (said(utility=LOWER, leak=LOWER), "utility and changes leak by -0.20 [-0.30, -0.10]"),
        (said(utility=WIDE, leak=LOWER), "it changes leak by -0.20 [-0.30, -0.10]; utility cannot be told apart"),
        (said(utility=NEAR, leak=WIDE), "below 0.03 (utility) and 0.21 (leak) cannot be told apart with 10 people"),
        (said(utility=LOWER, leak=NEAR, p=0.2), "for 9 comparisons this may be chance (utility p = 0.20)"),
        (said(leak=LOWER), "removing it changes leak by -0.20 [-0.30, -0.10]"),
        (said(leak=NONE), "removing it changes nothing in leak, whoever is left out"),
    ],
)  # fmt: skip
def test_a_sentence_says_no_more_than_the_intervals(sentence, expected):
    assert expected in sentence
    assert ("at equal leak (" in sentence) == ("+0.01 [-0.02, +0.04]" in sentence and "costs" in sentence)


def repeated(trials, quantity):
    return Repeated(np.array([t.values[quantity] for t in trials]), np.stack([t.left_out[quantity] for t in trials]))


@pytest.mark.parametrize(("seeds", "paired"), [((0, 1, 2), True), ((3, 4, 5), False), ((0, 1), False)])
def test_groups_are_paired_by_seed_where_they_share_all(seeds, paired):
    full = [trial(i, 0.6 + 0.05 * i, sampled={"v": "full", "seed": i}) for i in range(3)]
    # In the order of their seeds reversed, so that pairs must be found and not only zipped.
    cut = [trial(10 - i, 0.4 + 0.05 * i, sampled={"v": "cut", "seed": seed}) for i, seed in enumerate(seeds)]
    copy = trial(30, 0.9, sampled=cut[0].sampled)
    (section,) = answer_questions([Question("cutting", {"v": "full"}, {"v": "cut"})], [*full, *cut, copy])
    reference, row = section.rows
    assert row.differences["utility"] == pytest.approx(
        repeated_difference(repeated(cut, "utility"), repeated(full, "utility"), paired)
    )
    assert set(row.trials) == {t.number for t in cut}, "a training that was repeated with equal seed is none"
    assert reference.deviations["utility"] == pytest.approx(0.05)


def test_questions_with_one_reference_share_a_table_and_a_correction():
    trials = [trial(i, utility, sampled={"v": name}) for i, (name, utility) in enumerate(
        {"full": 0.6, "a": 0.5, "b": 0.59, "c": 0.57}.items())]  # fmt: skip
    pairs = (("full", "a"), ("b", "c"), ("full", "b"))
    questions = [Question(f"to {name}", {"v": reference}, {"v": name}) for reference, name in pairs]
    sections = answer_questions(questions, trials)
    assert [[row.name for row in section.rows[1:]] for section in sections] == [["a", "b"], ["c"]]
    rows = [sections[0].rows[1], sections[1].rows[1], sections[0].rows[2]]
    found = [row.p_values["utility"] for row in rows]
    assert found == pytest.approx(list(holm([row.differences["utility"].p_value for row in rows])))
    assert any("one training" in note for note in sections[0].notes)


def test_trials_on_other_people_are_refused():
    with pytest.raises(ProtocolError, match="10 in trial 1, 9 in trial 2"):
        against_baselines([trial(1), trial(2, people=9, family="classical")], "gan")


def test_a_leak_that_is_lower_by_value_is_required():
    ours = [trial(1, 0.9, 0.51), trial(2, 0.7, 0.5), trial(3, 0.7, 0.4), trial(4, 0.2, 0.1)]
    section = against_baselines([*ours, trial(5, 0.5, 0.5, "classical"), trial(6, 0.5, 0.05, "classical")], "gan")
    rows = {row.trials[0]: row for row in section.rows}
    assert rows[5].trials == (5, 3), "of equal utility the lower leak"
    assert rows[6].differences == {} and "no gan leaks so little" in rows[6].beside
    assert len(forest_figure([section]).data) == 2


def test_shared_trainings_and_warm_starts_cost_a_group_nothing():
    one = [trial(1, trainings={"warm_start-a": 300, "both": 50, "trial-1": 100}), trial(2, trainings={"trial-2": 70})]
    other = [trial(3, trainings={"warm_start-b": 300, "both": 50})]
    assert group_compute(one, other) == (170, 350, 2)
    assert group_compute(other, one) == (0, 350, 0)


def test_each_detector_has_a_sentence():
    points = []
    for number, (detector, leak) in enumerate({"yunet": 0.5, "mtcnn": 0.7, "lossy": 0.6}.items()):
        judged = trial(number, leak=leak, people=PEOPLE - (detector == "lossy"))
        values = {name: Interval(value, value, value) for name, value in judged.values.items()}
        points.append(SensitivityPoint(trial=number, anonymizer="blur 31", detector=detector, contract_hash=detector,
                                       found=90, images=100, values=values, left_out=judged.left_out))  # fmt: skip
    section = detector_changes(compare_detectors(points, "yunet", PEOPLE), "yunet", PEOPLE)
    lossy, mtcnn = section.sentences
    assert lossy.startswith("for blur 31, aligning by lossy instead of yunet: open, for the people are not the same")
    assert mtcnn.startswith("for blur 31, aligning by mtcnn instead of yunet changes leak by +0.20 [+0.1")


def test_each_strength_has_a_sentence_beside_the_weakest():
    trials = [trial(number, leak=leak) for number, leak in enumerate((0.5, 0.3, 0.9))]
    points = [
        RobustnessPoint(trial=number, anonymizer="blur 31", attacker="informed", strength={"epochs": epochs},
                        leak=Interval(0.1, 0.1, 0.1), comparison="informed/closed_set", floor_mean=0.01, floor_95=0.02)
        for number, epochs in enumerate((100, 10, 1000))
    ]  # fmt: skip
    section = attacker_changes(points, trials)
    assert [row.trials for row in section.rows] == [(1,), (0,), (2,)]
    expected = paired_difference(0.9, trials[2].left_out["leak"], 0.3, trials[1].left_out["leak"])
    assert section.rows[2].differences["leak"] == expected
    assert section.sentences[1].startswith("for blur 31, informed with epochs=1000 instead of 10 changes leak by +0.60")
