"""Preparation of FER-2013: images per second, memory at several sizes, and what a `kill -9` in the middle costs.

Run it by `python tests/benchmarks/preparation.py [--sizes 1000 5000 35887] [--workers 2] [--out FILE]`, with the folder
of fer2013.zip in VEIL_TEST_DATA, or the archive as --archive. Every run is a process of its own with an empty cache.
The largest size is prepared twice: once undisturbed, once killed with everything it started and then continued. The
exit status is 1 if a row was lost, doubled or changed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

from veil.assets import fetch
from veil.faces.table import FaceTable
from veil.preparing.plan import PART_IMAGES

RUN = """
import json, sys
from pathlib import Path
from veil.config import DataConfig
from veil.preparing import Workforce, main_faces, plan, prepare_faces

archive, cache, workers, part_images = sys.argv[1:]
plan.PART_IMAGES = int(part_images)
config = DataConfig(dataset="fer2013", root=archive)
prepared = prepare_faces(main_faces(config), config, Path(cache), workforce=Workforce(workers=int(workers)))
values = prepared._asdict() | {"path": str(prepared.path), "summary": prepared.summary.model_dump(mode="json")}
print(json.dumps(values))
"""


def shrink(archive: Path, size: int, folder: Path) -> tuple[Path, int]:
    """An archive with about `size` of the images, evenly drawn, and their number."""
    with zipfile.ZipFile(archive) as source:
        names = sorted(name for name in source.namelist() if name.endswith((".jpg", ".png")))
        chosen = names[:: max(1, len(names) // size)][:size] if size < len(names) else names
        path = folder / f"fer2013-{len(chosen)}.zip"
        with zipfile.ZipFile(path, "w") as target:
            for name in chosen:
                target.writestr(name, source.read(name))
    return path, len(chosen)


def start(archive: Path, cache: Path, workers: int, part_images: int) -> subprocess.Popen:
    """Start a run."""
    # Assets are found where they lie, not in the empty cache.
    environment = os.environ | {"VEIL_ASSETS_DIR": str(fetch("yunet").parent), "VEIL_CACHE": str(cache)}
    command = [sys.executable, "-c", RUN, str(archive), str(cache), str(workers), str(part_images)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)


def finish(run: subprocess.Popen) -> dict:
    """What a run says of itself when it ends."""
    output, _ = run.communicate()
    if run.returncode:
        raise SystemExit(f"a run failed with status {run.returncode}")
    return json.loads(output.splitlines()[-1])


def kill_in_the_middle(run: subprocess.Popen, cache: Path, parts: int) -> int:
    """Kill a run and all it started when some of its parts are finished; returns how many."""
    while (finished := len(list(cache.glob("faces-*/part-*.parquet")))) < max(1, parts * 2 // 5):
        if run.poll() is not None:
            raise SystemExit("the run ended before it could be killed; give a larger size or a smaller --part-images")
        time.sleep(0.1)
    for process in descendants(run.pid):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    run.communicate()
    return finished


def descendants(root: int) -> set[int]:
    """Processes that a process has started, and those that they have started."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {root}
    while more := {process for process, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def check(prepared: dict, images: int, expected_hash: str | None) -> list[str]:
    """What is wrong with a table."""
    table = FaceTable.load(Path(prepared["path"]))
    ids = table.rows["image_id"].to_pylist()
    skipped = sum(group["count"] for group in prepared["summary"]["skipped"])
    wrong = []
    if len(set(ids)) != len(ids):
        wrong.append(f"{len(ids) - len(set(ids))} rows are doubled")
    if len(ids) + skipped != images:
        wrong.append(f"{images} files became {len(ids)} rows and {skipped} skipped files")
    if len(table.crops) != sum(split["faces"] for split in prepared["summary"]["splits"].values()):
        wrong.append("the summary counts other faces than the table holds")
    if expected_hash not in (None, table.data_hash):
        wrong.append(f"data hash {table.data_hash}, undisturbed {expected_hash}")
    return wrong


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(os.environ.get("VEIL_TEST_DATA", ".")) / "fer2013.zip"
    parser.add_argument("--archive", type=Path, default=default)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 5000, 35_887])
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--part-images", type=int, default=PART_IMAGES)
    parser.add_argument("--out", type=Path, help="JSON lines of all runs")
    arguments = parser.parse_args()

    table = Table("images", "run", "seconds", "images/s", "faces", "low resolution", "driver MB", "largest worker MB")
    wrong, lines = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for size in sorted(arguments.sizes):
            archive, images = shrink(arguments.archive, size, Path(scratch))
            runs, expected = ["undisturbed"] + ["killed, continued"] * (size == max(arguments.sizes)), None
            for name in runs:
                cache = Path(scratch) / f"{size}-{name}"
                if name != "undisturbed":
                    run = start(archive, cache, arguments.workers, arguments.part_images)
                    finished = kill_in_the_middle(run, cache, -(-images // arguments.part_images))
                    name = f"killed after {finished} parts, continued"
                prepared = finish(start(archive, cache, arguments.workers, arguments.part_images))
                wrong += [f"{images} images, {name}: {line}" for line in check(prepared, images, expected)]
                expected = prepared["summary"]["data_hash"]
                low = sum(split["low_resolution"] for split in prepared["summary"]["splits"].values())
                table.add_row(
                    str(images), name, f"{prepared['seconds']:.0f}", f"{prepared['images'] / prepared['seconds']:.1f}",
                    str(prepared["faces"]), str(low),
                    f"{prepared['peak_bytes'] / 1e6:.0f}", f"{prepared['worker_bytes'] / 1e6:.0f}",
                )  # fmt: skip
                # The path of the scratch folder says nothing to a reader; the table's own name holds its hash.
                prepared["path"] = Path(prepared["path"]).name
                prepared["summary"]["source"] = Path(prepared["summary"]["source"]).name
                lines.append(json.dumps({"size": images, "run": name, "workers": arguments.workers, **prepared}))
    Console(width=140).print(table)
    if arguments.out is not None:
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for line in wrong:
        print(f"WRONG: {line}")
    print("no row lost, doubled or changed" if not wrong else f"{len(wrong)} faults")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
