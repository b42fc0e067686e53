"""The frontier page in headless Chromium: it is drawn, filtered and pointed at without a network and without errors."""

import io
import re
import shutil
import subprocess

import pytest
from PIL import Image

from veil.frontier.page import render_page
from veil.frontier.points import FrontierPoint
from veil.objectives import OBJECTIVES

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ACTIONS = """<script>
  document.querySelector('tr[data-trial="2"]').focus();
  document.querySelector('button[data-name="classical"]').click();
  document.querySelector('button[data-panel="panel-1"]').click();
</script></body>"""


def example() -> str:
    extras = {"control": 0.997, "floor_mean": 0.017, "floor_95": 0.03}
    points = [
        FrontierPoint(
            trial=trial, label=f"{family} {trial}", family=family, trainable="x", conditioning=conditioning,
            objectives={"leak": (leak, leak - 0.05, leak + 0.05), "utility": (0.6, 0.5, 0.7)}, extras=extras,
            sampled={"weight": leak},
        )
        for trial, leak, family, conditioning in (
            (0, 0.2, "gan", "landmarks"), (1, 0.5, "gan", "pixels"), (2, 0.22, "k-Same", None),
            (3, 0.9, "classical", None),
        )
    ]  # fmt: skip
    picture = io.BytesIO()
    Image.new("RGB", (235, 235), "gray").save(picture, "WEBP")
    axes = (OBJECTIVES["leak"], OBJECTIVES["utility"])
    page = render_page(points, "smoke", axes, ties={2}, pictures={2: picture.getvalue()})
    return page.replace("</body>", ACTIONS)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What the page has become after its scripts and the actions ran, without scripts, and what the browser logged."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium")
    folder = tmp_path_factory.mktemp("page")
    page = folder / "frontier.html"
    page.write_text(example(), encoding="utf-8")
    command = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr"]
    command += ["--virtual-time-budget=8000", "--dump-dom", page.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=150, check=True)
    return re.sub(r"<script.*?</script>", "", result.stdout, flags=re.DOTALL), result.stderr


def test_it_draws_marks_lines_and_history_without_errors(run: tuple[str, str]) -> None:
    document, log = run
    assert document.count('class="main-svg"') >= 2
    assert "chance floor 0.017" in document and "A0, no anonymization 0.997" in document
    assert "CONSOLE" not in log, "scripts fail where the console speaks"


def test_a_row_in_focus_shows_its_card_and_its_mark(run: tuple[str, str]) -> None:
    cards = dict(re.findall(r'<div class="card" role="tooltip" id="card-(\d)"([^>]*)>', run[0]))
    assert "hidden" not in cards.pop("2")
    assert len(cards) == 3 and all("hidden" in attributes for attributes in cards.values())
    tradeoff = run[0][run[0].index('id="tradeoff"') : run[0].index('id="history"')]
    assert len(re.findall(r'<path class="point"', tradeoff)) == 3 + 1, "three marks are left, and one has a ring"


def test_the_key_hides_a_family_in_plot_and_table(run: tuple[str, str]) -> None:
    button = re.search(r'<button[^>]*data-name="classical"[^>]*>', run[0])
    assert button and 'aria-pressed="false"' in button[0]
    hidden = [row for row in re.findall(r"<tr [^>]*>", run[0]) if re.search(r"\bhidden\b", row)]
    assert len(hidden) == 1 and 'data-trial="3"' in hidden[0]


def test_parallel_coordinates_follow_the_key_and_what_is_pointed_at(run: tuple[str, str]) -> None:
    first, second = (run[0].index(f'id="panel-{index}"') for index in (0, 1))
    assert "hidden" in run[0][first : run[0].index(">", first)], "the other method was chosen"
    assert "hidden" not in run[0][second : run[0].index(">", second)]
    lines = re.findall(r'<path class="js-line"[^>]*style="[^"]*stroke-width: ([\d.]+)px', run[0][first:second])
    assert len(lines) == 3 + 1 and max(map(float, lines)) == 4, "three trials are left, and one is pointed at"
