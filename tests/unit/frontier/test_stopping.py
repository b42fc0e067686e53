"""What early stopping saved, and where tables, pages and data say so."""

import pytest
from rich.console import Console

from veil.errors import ConfigError
from veil.frontier.page import render_page
from veil.frontier.selection import select
from veil.frontier.stopping import Training, savings
from veil.frontier.table import frontier_table
from veil.objectives import OBJECTIVES

AXES = (OBJECTIVES["leak"], OBJECTIVES["utility"])
TRAININGS = (
    Training(0, 81, 81),
    Training(1, 81, 81, control=True),
    Training(2, 9, 81, stopped_at=9),
    Training(3, 27, 81, stopped_at=27),
    Training(4, 9, 81, stopped_at=9),
    Training(5, 81, 81, control=True),
)


@pytest.fixture
def points(make_point, make_invalid):
    stopped = [
        make_invalid(trial, reason=f"rung 9: rank {trial} of 5 by leak, utility", stopped=True) for trial in (2, 3, 4)
    ]
    return [make_point(0, 0.5, 0.5), make_point(1, 0.25, 0.25), *stopped, make_point(5, 0.9, 0.4), make_invalid(6)]


def test_savings_count_images_and_replay_without_the_controls(points):
    found = savings(TRAININGS, points, AXES)
    assert (found.trainings, found.stopped) == (6, {9: 2, 27: 1})
    assert (found.seen, found.length) == (3 * 81 + 2 * 9 + 27, 6 * 81)
    assert found.saved == pytest.approx(198 / 486)
    assert (found.controls, found.lost) == (2, 1), "trial 1 is on the frontier, trial 5 is beaten"
    assert found.volume == pytest.approx(0.5 * 0.5 + 0.25 * 0.25)
    assert found.volume_without == pytest.approx(0.25)
    assert found.sentence == (
        "Early stopping ended 3 of 6 trainings (2 at 9 images, 1 at 27 images) and saved 41% of their images "
        "(198 of 486); of 2 more that it would have ended, which ran to their end as controls, 1 reached the frontier: "
        "hypervolume 0.250 without the controls, 0.312 with them."
    )


def test_without_controls_nobody_knows_what_was_lost(points):
    found = savings(TRAININGS[2:3], points, AXES)
    assert found.sentence.endswith("no control has run to its end, so whether it kept the frontier is not known.")
    assert savings((), points, AXES) is None
    assert "ended 0 of 1 trainings and saved 0% of their images" in savings(TRAININGS[:1], points, AXES).sentence


def test_stopped_trials_are_told_from_invalid_ones(points):
    console = Console(width=120, no_color=True, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(frontier_table(points, AXES))
    text = console.export_text()
    assert "7 trials, 2 on the frontier (★), 1 invalid, 3 stopped early (■)" in text
    assert "■ stopped early trials 2, 3, 4" in text and "rank 2" not in text
    assert "✗ trial 6" in text and "✗ trial 2" not in text


def test_the_page_names_them_and_what_they_saved(points):
    found = savings(TRAININGS, points, AXES)
    html = render_page(points, "toy", AXES, savings=found)
    assert found.sentence in html and "Trials stopped early (3)" in html
    assert "<b>trial 3</b> method 3: rung 9: rank 3 of 5 by leak, utility" in html
    assert "Invalid trials (1)" in html and "41% of the training images saved" in html
    assert "stopped early" not in render_page(points[:2], "toy", AXES)


def test_none_is_ever_picked(points):
    assert [point.trial for point in select(points, max_leak=1.0)] == [0, 5, 1]
    with pytest.raises(ConfigError, match="none of the 3 trials can be picked: 0 are invalid, 3 were stopped early, 0"):
        select(points[2:5], max_leak=1.0)
