"""The paragraph says what the budget left, why this point, what its neighbours cost and gain, and what are ties."""

import numpy as np
import pytest

from veil.frontier.comparison import SampledTrial
from veil.frontier.points import FrontierPoint
from veil.frontier.selection import select
from veil.picking import Budget
from veil.picking.explanation import explain


def point(trial, leak, utility, **fields):
    objectives = {name: (value, value, value) for name, value in (("leak", leak), ("utility", utility))}
    return FrontierPoint(trial=trial, label=f"m{trial}", family="gan", trainable="t", objectives=objectives, **fields)


POINTS = [
    point(0, 0.01, 0.50, extras={"collapsed": 1.0}),
    point(1, 0.05, 0.40),
    point(2, 0.09, 0.60),
    point(3, 0.40, 0.80),
    point(4, 0.10, 0.59),
    FrontierPoint(trial=5, label="m5", family="gan", trainable="t", valid=False, reason="diverged"),
]


def samples(noise):
    """Trials over 10 people; each person's part differs from trial to trial by noise."""
    rng = np.random.default_rng(0)
    left_out = {
        item.trial: {name: item.interval(name).value + noise * rng.standard_normal(10) for name in ("leak", "utility")}
        for item in POINTS
        if item.valid
    }
    return {
        number: SampledTrial(
            number=number, label=f"m{number}", values={name: float(values.mean()) for name, values in parts.items()},
            left_out=parts,
        )
        for number, parts in left_out.items()
    }  # fmt: skip


def paragraph(budget, found=None):
    chosen = (
        [next(item for item in POINTS if item.trial == budget.trial)]
        if budget.trial is not None
        else select(POINTS, max_leak=budget.max_leak, min_utility=budget.min_utility, knee=budget.knee)
    )
    return explain(POINTS, budget, chosen, samples(1e-5) if found is None else found)


def test_a_leak_budget():
    assert paragraph(Budget(0.10, None, False, None)) == (
        "Of 6 trials, 4 can be picked (1 invalid, 1 with one expression for every face); 3 remain within --max-leak "
        "0.1. Of these, trial 2 (m2; leak 0.09, utility 0.60) keeps most of the expression. It lies on the frontier. "
        "The next frontier point with more privacy is trial 1 (m1): leak -0.04, utility -0.20. The next frontier point "
        "with more expression is trial 3 (m3): leak +0.31, utility +0.20, beyond the budget. Every other trial differs "
        "from it significantly in leak or utility (paired differences over 10 people, Holm's procedure)."
    )


@pytest.mark.parametrize(
    ("budget", "why"),
    [
        (
            Budget(None, 0.55, False, None),
            "3 remain within --min-utility 0.55. Of these, trial 2 (m2; leak 0.09, utili",
        ),
        (Budget(None, 0.7, False, None), "1 remains within --min-utility 0.7. It is trial 3"),
        (Budget(None, None, True, None), "3 lie on the frontier. Of these, trial 2 (m2; leak 0.09, utility 0.60) has "),
        (Budget(None, None, True, None), "(1 - leak) · utility = 0.55"),
        (Budget(None, None, False, 4), "Trial 4 was asked for by its number. It is trial 4 (m4; leak 0.10, utility 0"),
        (Budget(None, None, False, 4), "It is off the frontier: trial 2 (m2) is better in both."),
    ],
)
def test_other_budgets(budget, why):
    assert why in paragraph(budget)


def test_differences_within_noise_are_called_ties():
    text = paragraph(Budget(0.10, None, False, None), samples(0.05))
    assert "trial 1 (m1): leak -0.04 (a tie), utility -0.20 (a tie)." in text
    assert "4 trials tie with it in both leak and utility: 0, 1, 3, 4" not in text, "what cannot be picked is no tie"
    assert "1, 3, 4 (paired differences over 10 people" in text and "3 trials tie" in text


def test_without_samples_values_are_compared_and_no_tie_is_claimed():
    text = paragraph(Budget(0.10, None, False, None), {})
    assert (
        "leak -0.04, utility -0.20" in text
        and "(a tie)" not in text
        and "tie with" not in text
        and "significantly" not in text
    )
