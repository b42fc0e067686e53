"""Parallel coordinates: where values lie on their axes, whose lines are drawn, and what the page makes of them."""

import math

import pytest

from veil.frontier.dominance import ranked
from veil.frontier.importance import Importance
from veil.frontier.page import render_page
from veil.frontier.parallel import ALL_METHODS, parallel_figures
from veil.objectives import OBJECTIVES

AXES = [OBJECTIVES["leak"], OBJECTIVES["utility"]]


@pytest.fixture
def points(make_point):
    def gan(number, leak, weight, sees, **more):
        sampled = {"weight": weight, "sees": sees, "constant": 1} | more
        return make_point(number, leak, 0.5, sampled=sampled, conditioning=sees, extras={"parrot": leak})

    filters = {"trainable": "baseline", "family": "classical"}
    return [
        gan(0, 0.2, 0.01, "pixels"),
        gan(1, 0.4, 1.0, "landmarks", late=True),
        gan(2, 0.6, 0.1, "pixels", late=False),
        make_point(3, 0.9, 0.4, **filters, sampled={"kernel": 11}, extras={"parrot": 0.9}),
    ]


def corners(figure, trial):
    """Heights of a trial's line by axis."""
    headings = figure.layout.xaxis.ticktext
    (trace,) = [trace for trace in figure.data if trace.ids and trial in trace.ids]
    at = [index for index, own in enumerate(trace.ids) if own == trial]
    return {headings[trace.x[index]]: trace.y[index] for index in at}


def test_each_method_has_axes_for_what_its_trials_vary(points):
    figures = parallel_figures(ranked(points, AXES), AXES)
    assert list(figures) == [ALL_METHODS, "gan_anonymizer"], "one trial varies nothing"
    assert corners(figures[ALL_METHODS], "3") == {"conditioning": None, "A3 parrot": 0.9, "<b>leak</b> ↓": 0.9,
                                                  "<b>utility</b> ↑": 0.4}  # fmt: skip
    own = corners(figures["gan_anonymizer"], "2")
    assert "constant" not in own and own["weight"] == pytest.approx(math.log(0.1 / 0.01) / math.log(1.0 / 0.01))
    assert (own["sees"], own["late"], own["<b>leak</b> ↓"]) == (1.0, 0.0, 0.6)
    assert corners(figures["gan_anonymizer"], "0")["late"] is None, "what was not sampled is a gap, not a value"


def test_small_ranges_are_linear(make_point):
    rows = ranked([make_point(i, 0.1 * i, 0.5, sampled={"k": k}) for i, k in enumerate((2, 3, 6))], AXES)
    (figure,) = [figure for name, figure in parallel_figures(rows, AXES).items() if name != ALL_METHODS]
    assert corners(figure, "1")["k"] == 0.25


def test_traces_know_what_the_key_filters_by(points):
    figure = parallel_figures(ranked(points, AXES, ties={1}), AXES)[ALL_METHODS]
    known = [trace.meta for trace in figure.data if trace.meta]
    assert {"family": "classical", "conditioning": "", "standing": "beaten"} in known
    assert {"family": "gan", "conditioning": "landmarks", "standing": "tie"} in known


def test_the_page_shows_importance_with_its_method(points):
    shares = {"leak": {"weight": 0.75, "sees": 0.25}, "utility": {"sees": 1.0}}
    html = render_page(points, "smoke", AXES, importance=[Importance("gan_anonymizer", 10, shares)])
    section = html[html.index("Settings, attacks and objectives") :]
    assert "fANOVA of 10 trials" in section and "importance-1" in section
    assert Importance("x", 1, shares).settings == ["sees", "weight"]


def test_a_thousand_trials_stay_light(make_point):
    points = [
        make_point(i, (i % 97) / 97, (i % 89) / 89, sampled={"a": i / 7, "b": i % 5, "c": str(i % 3)})
        for i in range(1000)
    ]
    empty = len(render_page([], "empty", AXES))
    assert len(render_page(points, "large", AXES)) - empty < 3_500_000
