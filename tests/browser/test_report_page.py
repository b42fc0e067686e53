"""The report in headless Chromium: figures are drawn, nothing is clipped, and it prints as PDF."""

import io
import re
import subprocess
from pathlib import Path

import pytest
from rich.console import Console
from scored_study import add_trial, make_study, mirror

from veil.errors import ConfigError
from veil.registry import search_spaces
from veil.report.command import Written, report_study
from veil.report.pdf import find_browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

MEASURE = """<script>
  addEventListener("load", () => {
    const wide = [...document.querySelectorAll(".scroll")].filter(item => item.scrollWidth > item.clientWidth + 1);
    document.body.dataset.clipped = wide.length;
    document.body.dataset.points = document.querySelectorAll("#figure-main path.point").length;
    document.querySelector("#ladder data").dispatchEvent(new MouseEvent("mouseover", {bubbles: true}));
  });
</script></body>"""


class ToyFamilies:
    """Nothing is asked."""

    trainables = ("baseline",)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    try:
        find_browser()
    except ConfigError as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(search_spaces._plugins, "toy_families", ToyFamilies)
        folder = make_study(tmp_path_factory.mktemp("studies"), "toy_families")
        for number, (family, leak, utility) in enumerate((("k-Same", 0.5, 0.4), ("gan", 0.4, 0.7))):
            add_trial(folder, number, {"leak": leak, "utility": utility}, family=family)
        mirror(folder)
        return report_study(folder, "gan", Console(file=io.StringIO()), pdf=True)


def test_figures_are_drawn_and_numbers_name_their_runs(written: Written, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(written.page.read_text(encoding="utf-8").replace("</body>", MEASURE), encoding="utf-8")
    command = [find_browser(), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'p'}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--window-size=1120,1000"]
    command += ["--virtual-time-budget=3000", "--dump-dom", page.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=150, check=True)
    document = re.sub(r"<script.*?</script>", "", result.stdout, flags=re.DOTALL)
    assert "CONSOLE" not in result.stderr, "scripts fail where the console speaks"
    assert 'data-clipped="0"' in document and document.count('class="main-svg"') >= 6
    drawn = re.search(r'data-points="(\d+)"', document)
    assert drawn and int(drawn[1]) >= 2
    assert re.search(r'<data [^>]*title="MLflow run [0-9a-f]{32}\s*(metric|parameter) [\w./]+"', document)


def test_it_prints_as_a_pdf_of_whole_pages(written: Written) -> None:
    assert written.pdf is not None
    content = written.pdf.read_bytes()
    assert content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF")
    boxes = re.findall(rb"/MediaBox \[0 0 (\d+)[\d.]* (\d+)", content)
    assert 5 <= len(boxes) <= 20 and set(boxes) == {(b"594", b"841")}, "A4"
    assert not list(written.pdf.parent.glob(".report-*"))
