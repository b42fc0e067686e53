"""What a person sees while a study runs: one line per finished trial and a bar."""

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from veil.records import TrialRecord


class SweepProgress:
    """A bar over trials; every finished trial leaves a line above it."""

    def __init__(self, console: Console, total: int, finished: int) -> None:
        self._console = console
        self._images: dict[int, int] = {}
        self._warned: set[str] = set()
        self._started = time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[running]}", style="dim"),
            console=console,
        )
        self._task = self._bar.add_task("trials", total=total, completed=finished, running="")

    def __enter__(self) -> "SweepProgress":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def trained(self, number: int, images_seen: int) -> None:
        """A running trial has seen so many images."""
        self._images[number] = images_seen
        self._show()

    def finished(self, record: TrialRecord) -> None:
        """A trial has ended."""
        self._images.pop(record.number, None)
        if record.state == "valid":
            outcome = "  ".join(
                f"{name} {estimate.value:.2f} \\[{estimate.low:.2f}, {estimate.high:.2f}]"
                for name, estimate in record.objectives.items()
            )
        elif record.state == "stopped":
            outcome = f"[yellow]stopped early[/yellow]: {escape(str(record.reason))}"
        else:
            outcome = f"[red]{record.state}[/red]: {escape(str(record.reason))}"
        elapsed = time.monotonic() - self._started
        self._console.print(
            f"[dim]{elapsed:6.0f} s[/dim]  trial {record.number:>3}  {escape(f'{record.label:<34}')} {outcome}  "
            f"[dim]({record.seconds.get('total', 0.0):.0f} s)[/dim]"
        )
        self._bar.advance(self._task)
        self._show()

    def warn(self, message: str) -> None:
        """Something a person should know, that does not end the sweep; the same words are said once."""
        if message not in self._warned:
            self._warned.add(message)
            self._console.print(f"[yellow]warning[/yellow]: {escape(message)}")

    def _show(self) -> None:
        running = ", ".join(f"#{number}: {images} images" for number, images in sorted(self._images.items()))
        self._bar.update(self._task, running=running)
