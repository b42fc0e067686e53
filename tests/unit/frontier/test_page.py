import re
import shutil
import subprocess

import pytest

from veil.frontier.figures import tradeoff_figure
from veil.frontier.page import render_page, write_page
from veil.objectives import OBJECTIVES

AXES = (OBJECTIVES["leak"], OBJECTIVES["utility"])


@pytest.fixture
def points(make_point, make_invalid):
    extras = {"proxy_cosine": 0.11, "control": 0.997}
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
    html = render_page(points, "smoke", AXES, far=0.01)
    assert len(html) > 1_000_000, "plotly.js must be inside"
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=", without_library(html))
    assert "@import" not in without_library(html)


def test_page_tells_trials_frontier_and_reasons(points):
    html = without_library(render_page(points, "smoke", AXES, far=0.01))
    assert "Veil frontier: smoke" in html
    assert html.count('<tr class="frontier">') == 2
    assert "Invalid trials (1)" in html
    assert "<b>trial 3</b> blur 21: control TAR 0.62 is below 0.95" in html
    assert "0.997" in html


def test_text_from_configurations_cannot_become_markup(make_point):
    hostile = '</script><img src=x onerror="alert(1)">'
    html = without_library(render_page([make_point(0, 0.1, 0.2, label=hostile, family=hostile)], hostile, AXES))
    assert "<img" not in html


def test_marks_carry_values_bars_and_group(points):
    figure = tradeoff_figure(points, AXES, far=0.01)
    traces = {trace.name: trace for trace in figure.data if trace.name and trace.mode == "markers"}
    assert set(traces) == {"gan · pixels", "gan · landmarks", "classical"}
    landmarks = traces["gan · landmarks"]
    assert (landmarks.x[0], landmarks.y[0]) == (0.41, 0.66)
    assert landmarks.error_x.array[0] == pytest.approx(0.15)
    assert landmarks.error_y.arrayminus[0] == pytest.approx(0.15)
    assert traces["classical"].marker.color != landmarks.marker.color
    assert traces["gan · pixels"].marker.symbol != landmarks.marker.symbol


def test_an_estimate_outside_its_interval_has_no_negative_bar(make_point):
    point = make_point(0, 0.5, 0.5, half_width=-0.1)
    (trace,) = [trace for trace in tradeoff_figure([point], AXES, far=None).data if trace.mode == "markers"]
    assert trace.error_x.array[0] == trace.error_x.arrayminus[0] == 0


def test_frontier_line_steps_through_the_corners_to_the_reference(points):
    (line,) = [trace for trace in tradeoff_figure(points, AXES, far=None).data if trace.name == "frontier"]
    corners = [(0.41, 0), (0.41, 0), (0.41, 0.66), (0.99, 0.66), (0.99, 0.87), (1.0, 0.87), (1.0, 0.87)]
    assert list(zip(line.x, line.y, strict=True)) == corners


def test_every_number_of_objectives_and_an_empty_study_render(make_point):
    assert "0 invalid" in render_page([], "empty", AXES)
    assert "method 1" in render_page([make_point(1, 0.2, 0.3)], "one", [OBJECTIVES["leak"]])
    three = make_point(1, 0.2, 0.3)
    three = type(three)(**{**vars(three), "objectives": {**three.objectives, "realism": (0.5, 0.4, 0.6)}})
    assert "realism" in render_page([three], "three", [*AXES, OBJECTIVES["realism"]])


@pytest.mark.browser
def test_page_draws_in_a_browser(points, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine: install it (Debian: apt install chromium)")
    page = write_page(tmp_path / "frontier.html", points, "smoke", AXES, far=0.01)
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    command += [
        "--disable-background-networking",
        "--disable-component-update",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    command += ["--virtual-time-budget=5000", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True).stdout
    drawn = re.findall(r'<path class="point"', dom)
    assert len(drawn) >= 3, "three valid trials are marks"
    assert dom.count('class="main-svg"') >= 2, "two figures"
