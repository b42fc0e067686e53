"""Curves of leak against strength: what belongs to one curve, in which order, and what is drawn of it."""

import re

import pytest
from rich.console import Console

from veil.frontier.points import Interval
from veil.frontier.robustness import RobustnessPoint, robustness_curves, robustness_table
from veil.frontier.robustness_page import render_robustness, robustness_figure


def point(trial, leak, anonymizer="blur 31", attacker="informed", **strength):
    return RobustnessPoint(
        trial=trial,
        anonymizer=anonymizer,
        attacker=attacker,
        strength={"epochs": 150, "head": "linear", "enrolled": None} | strength,
        leak=Interval(leak, leak - 0.1, leak + 0.05),
        comparison=f"{attacker}/closed_set",
        floor_mean=0.01,
        floor_95=0.03,
        references={"naive": Interval(0.2, 0.1, 0.3), "parrot": Interval(0.5, 0.4, 0.6)},
    )


@pytest.fixture
def star():
    """Strengths that depart from the default in one setting, out of order."""
    return [
        point(0, 0.6),
        point(1, 0.8, epochs=400),
        point(2, 0.3, epochs=10),
        point(3, 0.7, head="mlp"),
        point(4, 0.4, enrolled=4),
        point(5, 0.2, enrolled=1),
        point(6, 0.1, anonymizer="pixelate 8"),
        point(7, 0.15, anonymizer="pixelate 8", epochs=400),
    ]


def described(curves):
    return {(curve.anonymizer, curve.setting): (curve.values, [p.trial for p in curve.points]) for curve in curves}


def test_default_lies_on_the_curve_of_every_setting(star):
    assert described(robustness_curves(star)) == {
        ("blur 31", "epochs"): ([10, 150, 400], [2, 0, 1]),
        ("blur 31", "head"): (["linear", "mlp"], [0, 3]),
        ("blur 31", "enrolled"): ([1, 4, None], [5, 4, 0]),
        ("pixelate 8", "epochs"): ([150, 400], [6, 7]),
    }


def test_order_of_trials_does_not_matter(star):
    assert described(robustness_curves(star[::-1])) == described(robustness_curves(star))


def test_points_that_differ_in_two_settings_share_no_curve():
    assert robustness_curves([point(0, 0.3), point(1, 0.5, epochs=10, head="mlp")]) == []


def test_a_grid_gives_a_curve_for_each_value_of_the_other_setting():
    grid = [point(n, 0.1, epochs=epochs, head=head) for n, (epochs, head) in enumerate(
        [(10, "linear"), (100, "linear"), (10, "mlp"), (100, "mlp")]
    )]  # fmt: skip
    epochs = [curve for curve in robustness_curves(grid) if curve.setting == "epochs"]
    assert sorted(curve.elsewhere["head"] for curve in epochs) == ["linear", "mlp"]
    figure = robustness_figure(robustness_curves(grid), far=0.01)
    assert {"blur 31 (head=linear)", "blur 31 (head=mlp)"} <= {trace.name for trace in figure.data}


def test_equal_strengths_are_drawn_once_and_settings_of_attackers_stay_apart():
    points = [point(4, 0.3), point(2, 0.3), point(5, 0.5, epochs=400), point(6, 0.9, attacker="reversal")]
    (curve,) = robustness_curves(points)
    assert [member.trial for member in curve.points] == [2, 5]


def test_no_points_make_no_curves():
    assert robustness_curves([]) == []


def printed(points, width):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(robustness_table(points, far=0.01, title="study x"))
    return console.export_text()


@pytest.mark.parametrize("width", [80, 140])
def test_table_names_every_trial_with_interval_chance_and_references(star, width):
    lone = point(9, 0.9, anonymizer="lone", epochs=7, head="mlp")
    text = printed([*star, lone], width)
    lines = [line for line in text.splitlines() if "[0." in line]
    assert len(lines) == 3 + 2 + 3 + 2 + 1
    assert "blur 31, attacked by informed" in text
    assert re.search(r"0 +all +0\.60 \[0\.50, 0\.65\] +0\.03 +0\.20 +0\.50 +closed_set", text)
    assert "lone, informed" in text and re.search(r"0\.90 \[0\.80, 0\.95\]", text)


def test_figure_has_a_panel_a_setting_with_bars_and_references(star):
    curves = robustness_curves(star)
    figure = robustness_figure(curves, far=0.01)
    titles = {annotation.text for annotation in figure.layout.annotations}
    assert {"informed: epochs", "informed: head", "informed: enrolled"} <= titles
    (trace,) = [trace for trace in figure.data if trace.name == "pixelate 8"]
    assert list(trace.y) == [0.1, 0.15]
    assert trace.error_y.arrayminus == pytest.approx([0.1, 0.1])
    dashed = [trace for trace in figure.data if trace.line.dash == "dash" and trace.y[0] is not None]
    assert len(dashed) == len(curves) and {line.y[0] for line in dashed} == {0.5}


def test_numbers_are_placed_by_their_logarithm_and_no_limit_comes_last(star):
    figure = robustness_figure(robustness_curves(star), far=0.01)
    axes = {axis.title.text: axis for axis in (figure.layout.xaxis, figure.layout.xaxis2, figure.layout.xaxis3)}
    assert axes["enrolled"].ticktext == ("1", "4", "all") and axes["enrolled"].tickvals == (0, 2, 3)
    assert axes["head"].ticktext == ("linear", "mlp") and axes["head"].tickvals == (0, 1)


def test_no_line_is_drawn_between_words(star):
    figure = robustness_figure(robustness_curves(star), far=0.01)
    modes = {tuple(trace.y): trace.mode for trace in figure.data if trace.name == "blur 31"}
    assert modes == {(0.3, 0.6, 0.8): "lines+markers", (0.6, 0.7): "markers", (0.2, 0.4, 0.6): "lines+markers"}


def test_page_is_whole_and_text_cannot_become_markup(star):
    hostile = '</script><img src=x onerror="alert(1)">'
    html = render_robustness([*star, point(8, 0.5, anonymizer=hostile)], hostile, 0.01, {hostile: hostile})
    assert len(html) > 1_000_000, "plotly.js must be inside"
    own = re.sub(r"<script>.{1000000,}?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=", own)
    assert "Invalid trials (1)" in own
    assert own.count("<tr>") == 1 + 9


def test_empty_study_renders():
    assert "Leak against strength" in render_robustness([], "empty", 0.01)
