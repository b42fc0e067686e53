"""Detectors side by side: order, paired differences, and what cannot be paired."""

import re

import numpy as np
import pytest
from rich.console import Console

from veil.errors import ProtocolError
from veil.frontier.points import Interval
from veil.frontier.sensitivity import SensitivityPoint, compare_detectors, difference_text, sensitivity_table
from veil.frontier.sensitivity_page import render_sensitivity, sensitivity_figure
from veil.metrics.intervals import paired_difference

PEOPLE = 10


def point(trial, detector, leak, anonymizer="blur 31", people=PEOPLE, **changes):
    left_out = leak + np.linspace(-0.01, 0.01, people) * (1 + trial)
    values = {name: Interval(leak, leak - 0.1, leak + 0.1) for name in ("control", "leak", "utility")}
    fields = {
        "trial": trial, "anonymizer": anonymizer, "detector": detector, "contract_hash": f"of {detector}", "found": 99,
        "images": 100, "values": values, "left_out": dict.fromkeys(values, left_out),
    }  # fmt: skip
    return SensitivityPoint(**(fields | changes))


@pytest.fixture
def points():
    return [
        point(0, "mtcnn", 0.6),
        point(1, "yunet", 0.7),
        point(2, "yunet", 0.2, anonymizer="pixelate 8"),
        point(3, "lossy", 0.5, people=PEOPLE - 1),
        point(4, "mtcnn", 0.9),
    ]


def compared(points):
    return compare_detectors(points, "yunet", PEOPLE)


def test_reference_comes_first_and_the_first_of_equal_trials_counts(points):
    rows = compared(points)
    assert {name: [row.point.trial for row in group] for name, group in rows.items()} == {
        "blur 31": [1, 3, 0],
        "pixelate 8": [2],
    }


def test_differences_are_paired_person_by_person(points):
    reference, _, mtcnn = compared(points)["blur 31"]
    assert reference.differences == {}
    expected = paired_difference(0.6, points[0].left_out["leak"], 0.7, points[1].left_out["leak"])
    assert mtcnn.differences == dict.fromkeys(("control", "leak", "utility"), expected)
    assert expected.value == pytest.approx(-0.1) and expected.high < 0


def test_a_detector_that_lost_a_person_is_paired_with_no_other(points):
    assert compared(points)["blur 31"][1].differences == {}
    assert all(not row.differences for row in compare_detectors(points, "absent", PEOPLE)["blur 31"])


def test_a_detector_that_changed_within_a_study_is_refused(points):
    with pytest.raises(ProtocolError, match="'mtcnn' changed within the study: trial 4"):
        compared([*points[:4], point(4, "mtcnn", 0.6, contract_hash="another")])


@pytest.mark.parametrize("width", [80, 200])
def test_table_shows_values_differences_and_counts(points, width):
    console = Console(width=width, record=True, file=None)
    with console.capture() as capture:
        console.print(sensitivity_table(points, "yunet", PEOPLE, title="study s"))
    text = capture.get()
    difference = difference_text(compared(points)["blur 31"][2].differences["leak"])
    assert difference.startswith("-0.10 [")
    for expected in ("(reference)", "0.70 [0.60, 0.80]", difference, "99 of 100", "pixelate 8"):
        assert expected in text
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_page_is_whole_and_escapes_names(points):
    rows = compared([*points, point(9, "<b>", 0.5)])
    html = render_sensitivity(rows, "s", "yunet", 0.01, {"trial 7, x": "no <weights>"})
    without_scripts = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert "$" not in without_scripts and "http" not in without_scripts
    assert "no &lt;weights&gt;" in html and "<td>&lt;b&gt;</td>" in html
    assert difference_text(rows["blur 31"][-1].differences["leak"]) in html
    figure = sensitivity_figure(compared(points))
    assert len(figure.data) == 6 and {trace.name for trace in figure.data} == {"blur 31", "pixelate 8"}
    assert list(figure.data[0].y) == pytest.approx([-0.09, 0.91, 1.91])


def test_no_trial_makes_an_empty_page():
    assert "All detectors" in render_sensitivity({}, "s", "yunet", 0.01)
