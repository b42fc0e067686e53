import pytest
from rich.console import Console

from veil.frontier.table import frontier_table
from veil.objectives import OBJECTIVES

AXES = (OBJECTIVES["leak"], OBJECTIVES["utility"])


def render(points, width, ties=None):
    console = Console(width=width, no_color=True, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(frontier_table(points, AXES, title="study smoke", ties=ties))
    return console.export_text()


@pytest.fixture
def points(make_point, make_invalid):
    extras = {"proxy_cosine": 0.11, "control": 1.0, "naive": 0.97, "parrot": 0.98}
    return [
        make_point(0, 0.99, 0.87, half_width=0.05, label="pixels λ_id=6", extras=extras, strongest="parrot"),
        make_point(1, 0.41, 0.66, half_width=0.15, label="landmarks [x]", strongest="informed"),
        make_point(2, 0.99, 0.50, label="blur 31"),
        make_invalid(3, reason="control TAR 0.62 is below 0.95", label="blur 21"),
    ]


def test_rows_show_intervals_frontier_mark_and_worst_attack(points):
    lines = render(points, 140).splitlines()
    pixels = next(line for line in lines if "pixels λ_id=6" in line)
    assert "★" in pixels and "0.99 [0.94, 1.04]" in pixels and "parrot" in pixels
    assert "0.11" in pixels and "1.00" in pixels
    assert "★" not in next(line for line in lines if "blur 31" in line)
    assert any("landmarks [x]" in line for line in lines), "labels are text, not markup"


def test_frontier_comes_first(points):
    text = render(points, 140)
    assert text.index("landmarks") < text.index("pixels") < text.index("blur 31") < text.index("blur 21")


def test_ties_follow_the_frontier_with_a_mark_of_their_own(points):
    lines = render(points, 140, ties={2}).splitlines()
    assert next(line for line in lines if "blur 31" in line).lstrip().startswith("≈")
    assert "4 trials, 2 on the frontier (★), 1 off it by no more than noise (≈), 1 invalid" in lines
    assert "≈" not in render(points, 140)


def test_invalid_trials_are_listed_with_their_reason(points):
    text = render(points, 140)
    assert "trial 3 blur 21: control TAR 0.62 is below 0.95" in text
    assert "4 trials, 2 on the frontier (★), 1 invalid" in text


@pytest.mark.parametrize("width", [80, 100, 200])
def test_lines_fit_and_the_essential_columns_stay(points, width):
    lines = render(points, width).splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "cosine" in text and "TAR" in text and "0.11" in text and "[0.94, 1.04]" in text
    assert ("A3" in text) == (width == 200 or width == 100)


def test_a_study_without_trials_renders():
    assert "0 trials, 0 on the frontier" in render([], 80)
