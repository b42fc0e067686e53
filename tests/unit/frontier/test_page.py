import base64
import io
import re

import pytest
from PIL import Image

from veil.frontier.figures import family_colours, tradeoff_figure
from veil.frontier.page import render_page
from veil.objectives import OBJECTIVES

AXES = (OBJECTIVES["leak"], OBJECTIVES["utility"])


@pytest.fixture
def points(make_point, make_invalid):
    extras = {"proxy_cosine": 0.11, "control": 0.997, "floor_mean": 0.017, "floor_95": 0.03}
    return [
        make_point(0, 0.99, 0.87, half_width=0.05, label="pixels λ_id=6", conditioning="pixels", extras=extras),
        make_point(1, 0.41, 0.66, half_width=0.15, label="landmarks λ_id=1", conditioning="landmarks"),
        make_point(2, 0.99, 0.50, label="blur 31", family="classical"),
        make_invalid(3, reason="control TAR 0.62 is below 0.95", label="blur 21"),
    ]


def without_library(html):
    """The page without plotly.js, which is third-party code."""
    return re.sub(r"<script>.{1000000,}?</script>", "", html, flags=re.DOTALL)


def test_page_loads_nothing_from_elsewhere(points):
    html = render_page(points, "smoke", AXES)
    assert len(html) > 1_000_000, "plotly.js must be inside"
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=", without_library(html))
    assert "@import" not in without_library(html)


def test_page_tells_trials_frontier_and_reasons(points):
    html = without_library(render_page(points, "smoke", AXES))
    assert "Veil frontier: smoke" in html
    assert html.count('<tr class="frontier"') == 2
    assert "Invalid trials (1)" in html
    assert "<b>trial 3</b> blur 21: control TAR 0.62 is below 0.95" in html
    assert "0.997" in html


def test_text_from_configurations_cannot_become_markup(make_point):
    hostile = '</script><img src=x onerror="alert(1)">'
    html = without_library(render_page([make_point(0, 0.1, 0.2, label=hostile, family=hostile)], hostile, AXES))
    assert "<img" not in html


def test_marks_carry_values_bars_and_group(points):
    figure = tradeoff_figure(points, AXES)
    traces = {trace.name: trace for trace in figure.data if trace.meta}
    assert set(traces) == {"gan · pixels", "gan · landmarks", "classical"}
    landmarks = traces["gan · landmarks"]
    assert (landmarks.x[0], landmarks.y[0]) == (0.41, 0.66)
    assert landmarks.error_x.array[0] == pytest.approx(0.15)
    assert landmarks.error_y.arrayminus[0] == pytest.approx(0.15)
    assert traces["classical"].marker.color != landmarks.marker.color
    assert traces["gan · pixels"].marker.symbol != landmarks.marker.symbol


def test_families_differ_by_colour_the_proposed_one_first(make_point):
    families = ["k-Same", "published", "gan", "CIAGAN-style", "classical", "DeepPrivacy-style", "a", "b", "c", "d"]
    colours = family_colours([make_point(i, 0.5, 0.5, family=family) for i, family in enumerate(families)])
    assert list(colours) == ["gan", "a", "b", "c", "CIAGAN-style", "classical", "d", "DeepPrivacy-style", "k-Same",
                             "published"]  # fmt: skip
    assert len(set(colours.values())) == len(families)


def test_ties_are_hollow_and_named_in_table_card_and_key(points):
    figure = tradeoff_figure(points, AXES, ties={2})
    symbols = {trace.meta["standing"]: trace.marker.symbol for trace in figure.data if trace.meta}
    assert symbols["tie"].endswith("-open") and not symbols["frontier"].endswith("-open")
    html = without_library(render_page(points, "smoke", AXES, ties={2}))
    assert html.count('<tr class="tie"') == 1 and 'data-name="tie">' in html and "≈ off the frontier" in html
    assert "≈" not in without_library(render_page(points, "smoke", AXES))


def test_lines_are_the_measured_floor_and_the_control(points):
    figure = tradeoff_figure(points, AXES)
    lines = {shape.x0: shape.x1 for shape in figure.layout.shapes}
    assert lines == {0: 0.03, 0.017: 0.017, 0.997: 0.997}, "what guessing reaches at most, its mean, and A0"
    texts = {note.text for note in figure.layout.annotations}
    assert {"chance floor 0.017", "A0, no anonymization 0.997"} <= texts


def test_intervals_of_beaten_trials_do_not_crowd_a_large_study(make_point):
    def opacities(n):
        points = [make_point(i, 0.1 + i / 100, 0.9 - i / 100, half_width=0.1) for i in range(n)]
        bars = {t.meta["standing"]: t.error_x.color for t in tradeoff_figure(points, AXES, ties={1}).data if t.meta}
        return {standing: float(colour.rstrip(")").split(",")[-1]) for standing, colour in bars.items()}

    few, many = opacities(5), opacities(40)
    assert many["beaten"] == 0 < few["beaten"]
    assert few["frontier"] == many["frontier"] > many["tie"] > 0


def webp(size):
    file = io.BytesIO()
    Image.new("RGB", size, "gray").save(file, "WEBP")
    return file.getvalue()


def test_pictures_are_inside_and_limited(make_point, monkeypatch):
    monkeypatch.setattr("veil.frontier.page.MOST_PICTURES", 3)
    points = [make_point(0, 0.1, 0.5), make_point(1, 0.3, 0.8), *(make_point(i, 0.3, 0.1 / i) for i in range(2, 6))]
    pictures = {point.trial: webp((235, 235)) for point in points} | {1: webp((235, 157))}
    html = without_library(render_page(points, "smoke", AXES, ties={5}, pictures=pictures))
    shown = dict(re.findall(r'id="card-(\d)"(?:(?!</div>).)*?src="data:image/webp;base64,([^"]+)"', html))
    assert list(shown) == ["0", "1", "5"], "the frontier and the ties first"
    assert base64.b64decode(shown["1"]) == pictures[1]
    assert html.count("<span>condition</span>") == 2, "one of the generators sees the pixels"
    assert "Of 6 valid trials the first 3" in html and "--no-pictures" in html
    assert "<img" not in without_library(render_page(points, "smoke", AXES))


def test_an_estimate_outside_its_interval_has_no_negative_bar(make_point):
    point = make_point(0, 0.5, 0.5, half_width=-0.1)
    (trace,) = [trace for trace in tradeoff_figure([point], AXES).data if trace.meta]
    assert trace.error_x.array[0] == trace.error_x.arrayminus[0] == 0


def test_frontier_line_steps_through_the_corners_to_the_reference(points):
    (line,) = [trace for trace in tradeoff_figure(points, AXES).data if trace.name == "frontier"]
    corners = [(0.41, 0), (0.41, 0), (0.41, 0.66), (0.99, 0.66), (0.99, 0.87), (1.0, 0.87), (1.0, 0.87)]
    assert list(zip(line.x, line.y, strict=True)) == corners


def test_every_number_of_objectives_and_an_empty_study_render(make_point):
    assert "0 invalid" in render_page([], "empty", AXES)
    assert "method 1" in render_page([make_point(1, 0.2, 0.3)], "one", [OBJECTIVES["leak"]])
    three = make_point(1, 0.2, 0.3)
    three = type(three)(**{**vars(three), "objectives": {**three.objectives, "realism": (0.5, 0.4, 0.6)}})
    assert "realism" in render_page([three], "three", [*AXES, OBJECTIVES["realism"]])
