"""Trials against one of them: paired, and corrected for their number."""

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import ttest_rel

from veil.errors import ProtocolError
from veil.frontier.comparison import SampledTrial, compare_with, comparison_table
from veil.frontier.hypervolume import frontier_hypervolume, resampled_hypervolume
from veil.objectives import OBJECTIVES

AXES = [OBJECTIVES["leak"], OBJECTIVES["utility"]]


def trial_of(number, of_person):
    """A trial whose objectives are means over people with as many images each."""
    n = len(of_person)
    left_out = (of_person.sum() - of_person) / (n - 1)
    return SampledTrial(
        number, f"method {number}", dict.fromkeys(("leak", "utility"), of_person.mean()),
        {"leak": left_out, "utility": left_out},
    )  # fmt: skip


@pytest.fixture
def people():
    rng = np.random.default_rng(0)
    hard = rng.uniform(0.1, 0.6, 10)
    return hard, hard + 0.1 + 0.02 * rng.normal(size=10), hard + 0.05 * rng.normal(size=10)


def test_means_over_people_compare_as_in_a_paired_t_test(people):
    reference, better, tie = people
    found = compare_with(trial_of(0, reference), [trial_of(1, better), trial_of(2, tie)], AXES)
    for item, values in zip(found, (better, tie), strict=True):
        expected = ttest_rel(values, reference)
        difference = item.differences["leak"]
        assert difference.value == pytest.approx(values.mean() - reference.mean())
        assert difference.p_value == pytest.approx(expected.pvalue)
        assert (difference.low, difference.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_p_values_are_raised_for_the_number_of_trials(people):
    reference, better, tie = people
    alone = compare_with(trial_of(0, reference), [trial_of(1, better)], AXES)[0]
    among = compare_with(trial_of(0, reference), [trial_of(1, better), *(trial_of(2, tie) for _ in range(4))], AXES)
    assert among[0].p_values["leak"] == pytest.approx(5 * alone.p_values["leak"])
    assert compare_with(trial_of(0, reference), [], AXES) == []


def test_other_people_do_not_compare(people):
    with pytest.raises(ProtocolError, match="trials 1 and 0 do not compare: .*same people"):
        compare_with(trial_of(0, people[0]), [trial_of(1, people[1][:8])], AXES)


def test_the_table_shows_both_objectives_and_marks_what_is_significant(people):
    reference, better, tie = people
    first = trial_of(0, reference)
    comparisons = compare_with(first, [trial_of(1, better), trial_of(2, tie)], AXES)
    console = Console(width=140, record=True, force_terminal=True)
    console.print(comparison_table(first, comparisons, AXES))
    text = console.export_text(styles=True)
    assert "+0.1" in text and "method 1" in text and "< 0.001" in text
    row = next(line for line in text.splitlines() if "method 1" in line)
    other = next(line for line in text.splitlines() if "method 2" in line)
    assert "\x1b[1m" in row and "\x1b[1m" not in other


def test_equal_resamples_give_the_hypervolume_of_the_points(make_point):
    points = [make_point(0, 0.2, 0.5), make_point(1, 0.5, 0.9), make_point(2, 0.6, 0.4)]
    values = np.array([[0.2, 0.5], [0.5, 0.9], [0.6, 0.4]])
    found = resampled_hypervolume(np.stack([values, values, [[1.0, 0.0]] * 3]), AXES)
    assert found[:2] == pytest.approx([frontier_hypervolume(points, AXES)] * 2) and found[2] == 0.0
