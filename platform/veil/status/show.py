"""The status of studies on a terminal, once or for as long as one runs."""

import time
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live

from veil.errors import ConfigError, VeilError
from veil.status.state import StudyStatus
from veil.status.view import status_view, studies_view
from veil.status.watch import StudyWatch

REFRESH_SECONDS = 2.0
"""Between two looks at a study that runs."""

OTHER_LINES = 24
"""Of a screen, for everything but the rows of trials that run and of nodes, which share the rest."""


def show_study(path: Path, console: Console, follow: bool) -> StudyStatus:
    """Print the status of a study, again and again while it runs if it is to be followed; Ctrl-C ends that.

    Raises:
        ConfigError: there is no such study.
        VeilError: a file of it is damaged.
    """
    watch = StudyWatch(path)
    status = watch.look(time.time())
    if not follow or not _goes_on(status):
        console.print(status_view(status))
        return status
    with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        while True:
            rows = max((console.height - OTHER_LINES) // 2, 3)
            live.update(status_view(status, rows), refresh=True)
            if not _goes_on(status):
                break
            time.sleep(REFRESH_SECONDS)
            status = watch.look(time.time())
    return status


def look_at_studies(root: Path) -> tuple[list[StudyStatus], dict[str, VeilError]]:
    """Status of each study below a folder, and why there is none of some.

    Raises:
        ConfigError: there are no studies.
    """
    paths = sorted(path.parent for path in root.glob("*/study.yaml"))
    if not paths:
        raise ConfigError(
            f"no study in {root}; name the folder that holds them (--root FOLDER), or start one: veil sweep"
        )
    found, refused = [], {}
    for path in paths:
        try:
            found.append(StudyWatch(path, intervals=False).look(time.time()))
        except VeilError as error:
            refused[path.name] = error
    return found, refused


def show_studies(studies: list[StudyStatus], console: Console) -> None:
    """Print a line for each study."""
    console.print(studies_view(studies, time.time()))


def _goes_on(status: StudyStatus) -> bool:
    return status.state in ("running", "silent")
