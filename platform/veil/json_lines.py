"""Files that grow by a JSON object a line, which processes may be writing, or may have been killed writing."""

import json
import os
from pathlib import Path
from typing import Any


def read_json_lines(path: Path, last_bytes: int | None = None) -> list[dict[str, Any]]:
    """The objects of all whole lines; none where there is no file.

    Args:
        path: of the file.
        last_bytes: look no further back than this; None reads everything.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            skipped = max(size - last_bytes, 0) if last_bytes is not None else 0
            file.seek(skipped)
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    found = []
    for line in lines[1:] if skipped else lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # Empty, or half a line.
    return found
