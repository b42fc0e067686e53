"""The page of an attack in headless Chromium: its scripts run and its figures are drawn, without a network."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from veil.attacking.page import render_page
from veil.protocol.measurement import RocCurve
from veil.protocol.score import Estimate, RungScore, TrialScore

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def example() -> str:
    rungs = tuple(
        RungScore(
            name=name, rung=rung, recognizer=recognizer, tar=Estimate(value=tar, low=0.8 * tar, high=tar), eer=0.1,
            auc=0.9, rank_1=0.8, rank_5=0.9, n_identities=10, n_genuine=450, n_impostor=4500, floor_mean=0.01,
            floor_95=0.03,
        )
        for recognizer in ("sface", "dlib_resnet")
        for rung, name, tar in (("A0", "control", 0.99), ("A1", "naive", 0.1), ("A4", "informed/closed_set", 0.8))
    )  # fmt: skip
    half = Estimate(value=0.5, low=0.4, high=0.6)
    score = TrialScore(
        valid=True, objectives={"leak": rungs[2].tar, "utility": half, "realism": half}, rungs=rungs,
        leak_floor_mean=0.01, leak_floor_95=0.03, target_split="search", n_images=100, undetected=0, suite_hash="s",
        data_hash="d", contract_hash="c",
    )  # fmt: skip
    keys = [f"{rung.recognizer}/{rung.name}" for rung in rungs]
    far = np.concatenate([[0.0], np.logspace(-4, 0, 199)])
    curves = {key: RocCurve(far, np.sqrt(far)) for key in keys}
    return render_page(score, curves, {key: np.linspace(0.5, 1.0, 10) for key in keys}, 0.01, "photographs", [])


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the page has become after its scripts ran, without the scripts themselves."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium")
    folder = tmp_path_factory.mktemp("page")
    page = folder / "attack.html"
    page.write_text(example(), encoding="utf-8")
    command = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=8000", "--dump-dom", page.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=150, check=True)
    return re.sub(r"<script.*?</script>", "", result.stdout, flags=re.DOTALL)


@pytest.mark.parametrize("figure", ["ladder", "roc", "cmc"])
def test_figures_are_drawn(document: str, figure: str) -> None:
    part = document[document.index(f'<div id="{figure}"') :]
    part = part[: part.index("</section>")]
    assert 'class="main-svg"' in part
    marks = len(re.findall(r'<path class="js-line"|<g class="point"', part))
    assert marks >= {"ladder": 6, "roc": 4, "cmc": 4}[figure], "one bar a rung, one line an attacker and one for chance"


def test_verdict_and_table_are_there(document: str) -> None:
    assert "links 80 % (95 % interval 64 % to 80 %)" in document
    assert document.count("<tr class=") == 6
    assert not re.search(r'(src|href)="(?!data:|#)', document)
