"""`veil train-teacher`: trains the expression net that teaches anonymizers, and says how well it reads faces."""

import json
import os
import shlex
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from veil.atomic import require_writable
from veil.config import apply_overrides
from veil.datasets.reader import About
from veil.errors import ConfigError
from veil.interfaces import Training
from veil.registry import datasets, trainings
from veil.runtime import Launcher, LocalLauncher

PROGRESS = "progress.jsonl"
PACKAGES = ("veil-faces", "torch", "numpy", "pillow", "scipy")
_POLL_SECONDS = 0.5


class Plan(NamedTuple):
    """What `veil train-teacher` was asked for.

    Attributes:
        dataset: registered dataset of labelled expressions.
        root: where it lies.
        out: folder for the teacher.
        overrides: settings of the training, "name=value".
        workers: training workers; above 1, they run under Ray Train.
        device: "auto" takes a GPU if there is one.
        precision: of convolutions.
    """

    dataset: str
    root: Path
    out: Path
    overrides: Sequence[str]
    workers: int
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["float32", "bfloat16"]


def train_teacher(plan: Plan, console: Console) -> dict[str, Any]:
    """Train, show how it goes, and print the card.

    Raises:
        ConfigError: a setting is unknown, the machine has no such device, or the folder holds another training.
        DataError: the dataset cannot be used, or the folder cannot be written.
        DivergedError: the loss is not finite.
    """
    training: Training = trainings.get("fer_teacher")()
    config: Any = training.Config.parse(apply_overrides({}, plan.overrides), where="--set")
    reader = datasets.get(plan.dataset)
    device = _device(plan.device)
    require_writable(plan.out)
    console.print(f"reading {plan.dataset} from {plan.root} …", highlight=False)
    dataset = reader(plan.root)
    with _launcher(plan, device) as launcher, _followed(plan.out / PROGRESS, config.images, console):
        card = training(config, dataset, launcher, plan.out.resolve(), _provenance(plan, reader.about, device))
    print_card(card, console)
    console.print(f"\nteacher   {plan.out}\nuse it    --set roles.teacher=fer_resnet:{plan.out}", highlight=False)
    return card


def _device(wanted: str) -> str:
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ConfigError("--device cuda: PyTorch sees no GPU on this machine; take --device cpu")
    return "cuda" if available and wanted != "cpu" else "cpu"


@dataclass(frozen=True)
class _JsonLines:
    """Appends reports to a file, from whichever process."""

    path: Path

    def __call__(self, metrics: Mapping[str, float], images_seen: int) -> None:
        with self.path.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"images_seen": images_seen, **metrics}) + "\n")


@contextmanager
def _launcher(plan: Plan, device: str) -> Iterator[Launcher]:
    dtype = torch.bfloat16 if plan.precision == "bfloat16" else None
    report = _JsonLines((plan.out / PROGRESS).resolve())
    if plan.workers == 1:
        yield LocalLauncher(report=report, device=device, autocast_dtype=dtype)
        return
    from veil.sweep.train import RayTrainLauncher, ray_for

    # Ray Train takes a folder that it knows for a run to be continued; this one is continued by its own checkpoints.
    with ray_for(plan.workers), tempfile.TemporaryDirectory() as storage:
        yield RayTrainLauncher(
            workers=plan.workers,
            storage=Path(storage),
            name="train-teacher",
            gpus_per_worker=1.0 if device == "cuda" else 0.0,
            inside_tune=False,
            autocast_dtype=dtype,
            report=report,
        )


@contextmanager
def _followed(path: Path, total: int, console: Console) -> Iterator[None]:
    """Show the reports in a file while it grows, from whichever process they come."""
    bar = Progress(
        TextColumn("[bold]images"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[scores]}", style="dim"),
        console=console,
    )
    task = bar.add_task("images", total=total, scores="")
    ended = threading.Event()

    def follow() -> None:
        latest: dict[str, float] = {}
        with path.open("a+", encoding="utf-8") as log:
            log.seek(0)
            while True:
                last_look = ended.is_set()
                while line := log.readline():
                    latest |= json.loads(line)
                if latest:
                    scores = f"loss {latest['loss/expression']:.3f}"
                    if "validation/accuracy" in latest:
                        scores += f"  validation accuracy {latest['validation/accuracy']:.3f}"
                    bar.update(task, completed=min(latest["images_seen"], total), scores=scores)
                if last_look:
                    return
                ended.wait(_POLL_SECONDS)

    follower = threading.Thread(target=follow, daemon=True)
    with bar:
        follower.start()
        try:
            yield
        finally:
            ended.set()
            follower.join()


def _provenance(plan: Plan, about: About, device: str) -> dict[str, Any]:
    hardware = torch.cuda.get_device_name() if device == "cuda" else f"{os.cpu_count()} CPU cores"
    return {
        "dataset": {
            "name": plan.dataset,
            "title": about.title,
            "licence": about.licence,
            "citation": about.citation,
        },
        "command": shlex.join(["veil", *sys.argv[1:]]),
        "workers": plan.workers,
        "hardware": hardware,
        "precision": plan.precision,
        "versions": {name: version(name) for name in PACKAGES},
    }


def print_card(card: Mapping[str, Any], console: Console) -> None:
    """Print how well a teacher reads faces, part by part, and what it confuses."""
    scores = Table("", "images", "accuracy", "macro-F1", "ECE", "ECE uncalibrated", title="expression teacher")
    names = {"validation": ("search", "validation"), "test": ("sealed", "test")}
    for key, (part, name) in names.items():
        scores.add_row(name, str(card["images"][part]), *_scores(card[key]))
    scores.add_row("test, images of no other part", str(card["test_unseen_images"]), *_scores(card["test_unseen"]))
    scores.add_row("test, with mirror images", str(card["images"]["sealed"]), *_scores(card["test_with_mirrored"]))
    confusion = Table("true \\ read", *card["classes"], title="test images by expression")
    for expression, row in zip(card["classes"], card["test"]["confusion"], strict=True):
        confusion.add_row(expression, *map(str, row))
    for table in (scores, confusion):
        for column in table.columns[1:]:
            column.justify = "right"
        table.title_justify = "left"
        console.print(table)


def _scores(measured: Mapping[str, Any]) -> list[str]:
    return [f"{measured[name]:.3f}" for name in ("accuracy", "macro_f1", "ece", "ece_uncalibrated")]
