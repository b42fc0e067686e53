"""A page as PDF, printed by a Chromium that is on the machine already."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from veil.atomic import replace_when_complete
from veil.errors import ConfigError, VeilError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
"""Programs that print in the same way, in the order in which they are looked for."""
SETTING = "VEIL_BROWSER"
TIMEOUT_SECONDS = 300


def find_browser() -> str:
    """Path of a Chromium.

    Raises:
        ConfigError: there is none, or the one that is set does not exist.
    """
    chosen = os.environ.get(SETTING)
    if chosen is not None:
        found = shutil.which(chosen)
        if found is None:
            raise ConfigError(f"{SETTING}={chosen} is no program that can be run; set it to a Chromium or Chrome")
        return found
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise ConfigError(
        f"a PDF needs Chromium or Chrome, and none of {', '.join(BROWSERS)} is on the PATH; install one, set {SETTING} "
        "to its path, or print the HTML page from any browser"
    )


def print_pdf(page: Path, pdf: Path, browser: str) -> None:
    """Print an HTML page; the PDF appears whole or not at all.

    Args:
        page: self-contained HTML.
        pdf: where the PDF goes.
        browser: a Chromium.

    Raises:
        VeilError: the browser fails or makes no PDF.
    """
    with tempfile.TemporaryDirectory() as profile, replace_when_complete(pdf) as temporary:
        command = [browser, "--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        command += [f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND"]
        command += ["--virtual-time-budget=20000", "--no-pdf-header-footer", f"--print-to-pdf={temporary}"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            # Chromium's sandbox refuses to start as root; the page is Veil's own.
            command.append("--no-sandbox")
        try:
            result = subprocess.run(
                [*command, page.resolve().as_uri()],
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise VeilError(f"cannot print {page} with {browser}: {error}; print it from any browser") from error
        if result.returncode != 0 or not temporary.is_file() or not temporary.read_bytes().startswith(b"%PDF"):
            said = result.stderr.strip().splitlines()[-1:] or [f"exit status {result.returncode}"]
            raise VeilError(f"{browser} made no PDF of {page}: {said[0]}; print the page from any browser")
