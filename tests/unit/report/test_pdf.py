"""A PDF needs a browser; without one, or with one that fails, there is a clear error and no file."""

from pathlib import Path

import pytest

from veil.errors import ConfigError, VeilError
from veil.report.pdf import find_browser, print_pdf


def test_without_a_browser_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("VEIL_BROWSER", raising=False)
    with pytest.raises(ConfigError, match=r"none of chromium, .* install one, set VEIL_BROWSER"):
        find_browser()
    monkeypatch.setenv("VEIL_BROWSER", "no-such-browser")
    with pytest.raises(ConfigError, match="VEIL_BROWSER=no-such-browser is no program"):
        find_browser()
    named = tmp_path / "google-chrome"
    named.write_text("#!/bin/sh\n")
    named.chmod(0o755)
    monkeypatch.delenv("VEIL_BROWSER")
    assert find_browser() == str(named)


@pytest.mark.parametrize("script", ["echo out of memory >&2; exit 3", "exit 0"])
def test_a_browser_that_fails_leaves_no_pdf(tmp_path: Path, script):
    browser, page = tmp_path / "browser", tmp_path / "report.html"
    browser.write_text(f"#!/bin/sh\n{script}\n")
    browser.chmod(0o755)
    page.write_text("<p>report</p>")
    with pytest.raises(VeilError, match="made no PDF of .*: (out of memory|exit status 0); print the page"):
        print_pdf(page, tmp_path / "report.pdf", str(browser))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["browser", "report.html"]
