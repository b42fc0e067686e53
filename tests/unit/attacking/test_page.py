import re

import numpy as np
import pytest

from veil.attacking.figures import cmc_plot, ladder_plot, roc_plot
from veil.attacking.page import render_page


def without_library(html):
    """The page without plotly.js, which is third-party code."""
    return re.sub(r"<script>.{1000000,}?</script>", "", html, flags=re.DOTALL)


@pytest.fixture
def html(card, page_input):
    return render_page(*page_input(card), 0.01, "blurred photographs", ["22 people are under attack."])


def test_page_loads_nothing_from_elsewhere(html):
    assert len(html) > 1_000_000, "plotly.js must be inside"
    own = without_library(html)
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=", own)
    assert "@import" not in own and "url(" not in own
    assert not re.findall(r"https?://(?!www\.w3\.org)[\w.]+", own)


def test_page_has_the_numbers_of_the_card(html):
    own = without_library(html)
    for part in (
        "blurred photographs",
        "links 84 % (95 % interval 74 % to 94 %)",
        "0.84 [0.74, 0.94]",
        "+0.46",
        "suite0123",
        "data0123",
        "contract0123",
        "f" * 16,
        "9.9.9",
        "<dt>seed of the suite</dt><dd>7</dd>",
        "22 people are under attack.",
        "Only 10 people were attacked",
    ):
        assert part in own, part
    assert own.count('<tr class="strongest">') == 1
    assert "<img" not in own, "no face is shown unless asked for"


def test_page_of_an_invalid_score_has_a_reason_and_no_headline(invalid, page_input):
    own = without_library(render_page(*page_input(invalid), 0.01, "x", []))
    assert "No valid score.</b> control TAR 0.62 is below 0.95" in own
    assert 'class="tile"' not in own and 'class="strongest"' not in own
    assert "0.99 [0.89, 1.00]" in own


def test_page_of_a_score_without_a_single_rung(invalid, page_input):
    empty = invalid.model_copy(update={"rungs": ()})
    assert "No valid score" in render_page(*page_input(empty), 0.01, "x", [])


def test_names_cannot_become_markup(card, page_input):
    hostile = '</script><img src=x onerror="alert(1)">'
    own = without_library(render_page(*page_input(card), 0.01, hostile, [hostile]))
    assert "<img" not in own


def test_faces_are_inside_the_page_where_asked_for(card, page_input):
    faces = {"original": np.zeros((2, 3, 112, 112), np.uint8), "anonymized": np.full((2, 3, 112, 112), 255, np.uint8)}
    own = without_library(render_page(*page_input(card), 0.01, "x", [], faces))
    assert re.findall(r'<img[^>]+src="(.{22})', own) == ["data:image/png;base64,"] * 4


def test_curves_are_of_the_best_way_of_each_attacker(card, page_input):
    _, curves, cmc = page_input(card)
    figure = roc_plot(card.rungs, curves, 0.01)
    names = [trace.name for trace in figure.data]
    assert names == [
        "A0 control · sface",
        "A3 parrot · sface",
        "A4 informed/closed_set · sface",
        "A1 naive · dlib_resnet",
        "chance",
    ]
    assert len({trace.line.color for trace in figure.data[:4]}) == 4
    assert figure.data[0].line.dash != figure.data[3].line.dash
    assert min(figure.data[0].x) > 0, "a logarithmic axis has no zero"
    assert figure.layout.shapes[0].x0 == 0.01
    ranks = cmc_plot(card.rungs, cmc)
    assert list(ranks.data[0].x) == list(range(1, 11)) and ranks.data[0].y[-1] == 1.0
    assert list(ranks.data[-1].y) == pytest.approx([k / 10 for k in range(1, 11)])


def test_bars_carry_intervals_and_floors(card):
    figure = ladder_plot(card.rungs)
    bars = {trace.name: trace for trace in figure.data if trace.type == "bar"}
    assert set(bars) == {"sface", "dlib_resnet"}
    closed = list(bars["sface"].y).index("A4  informed/closed_set")
    assert bars["sface"].x[closed] == 0.84
    assert bars["sface"].error_x.array[closed] == pytest.approx(0.1)
    assert bars["sface"].error_x.arrayminus[closed] == pytest.approx(0.1)
    floors = next(trace for trace in figure.data if trace.type == "scatter")
    assert set(floors.x) == {0.031}
    assert figure.layout.yaxis.categoryarray[-1] == "A0  control", "plotly draws categories upwards"
