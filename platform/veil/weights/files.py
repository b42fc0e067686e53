"""Weight files that the user provides: no registry knows their hash, so that it is taken from the file."""

import hashlib
from functools import cache
from pathlib import Path


@cache
def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, read once a process."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
