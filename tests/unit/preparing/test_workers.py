"""Workers: a run that is killed with everything it started is continued, and no row is lost, doubled or another."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ray

from veil.config import DataConfig, SplitConfig
from veil.errors import DataError
from veil.faces.storage import read_summary
from veil.faces.table import FaceTable
from veil.preparing import Workforce, main_faces, prepare, prepare_faces
from veil.preparing.actors import make_parts
from veil.preparing.plan import make_plan

IMAGES, PART_IMAGES = 160, 8
RUN = f"""
import sys
from pathlib import Path
from veil.config import DataConfig
from veil.preparing import Workforce, plan, prepare

plan.PART_IMAGES = {PART_IMAGES}
config = DataConfig(dataset="folder", root=sys.argv[1], splits=dict(train=4, attacker=4, search=4, sealed=4))
prepare(config, Path(sys.argv[2]), workforce=Workforce(workers=2))
"""


def descendants(root: int) -> set[int]:
    """Processes that a process has started, and those that they have started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (ValueError, OSError):
            continue
    found = {root}
    while more := {process for process, parent in parents.items() if parent in found} - found:
        found |= more
    return found


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(240)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux to find what a run has started")
def test_a_killed_run_goes_on_and_equals_a_run_in_one_process(
    more_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("veil.preparing.plan.PART_IMAGES", PART_IMAGES)
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", RUN, str(more_people), str(cache)]
    run = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
    try:
        finished = 0
        while finished < 3:
            assert run.poll() is None, run.stderr.read().decode()  # type: ignore[union-attr]
            time.sleep(0.05)
            finished = len(list(cache.glob("faces-*/part-*.parquet")))
    finally:
        for process in descendants(run.pid):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        run.wait()
    (path,) = cache.iterdir()
    kept = {part.name: part.stat().st_mtime_ns for part in path.glob("part-*.parquet")}
    assert 3 <= len(kept) < IMAGES // PART_IMAGES
    with pytest.raises(DataError, match="not complete"):
        FaceTable.load(path)

    splits = SplitConfig(train=4, attacker=4, search=4, sealed=4)
    config = DataConfig(dataset="folder", root=more_people, splits=splits)
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
    try:
        plan = make_plan(main_faces(config), config, cache)
        other = replace(plan, contract=replace(plan.contract, detector="another"))
        with pytest.raises(DataError, match=f"crop contract {plan.contract.hash}, expected {other.contract.hash}"):
            list(make_parts(other, [0, 1], workers=2, address=None))
        steps: list[tuple[int, int]] = []
        workforce = Workforce(workers=2)
        prepared = prepare_faces(main_faces(config), config, cache, lambda *step: steps.append(step), workforce)
        assert ray.is_initialized(), "Ray that ran before goes on running"
    finally:
        ray.shutdown()
    assert prepared.path == path
    assert prepared.images == prepared.faces == IMAGES - PART_IMAGES * len(kept)
    assert (steps[0], steps[-1]) == ((PART_IMAGES * len(kept), IMAGES), (IMAGES, IMAGES))
    assert {name: (path / name).stat().st_mtime_ns for name in kept} == kept, "finished parts are not made again"
    assert prepared.worker_bytes > 0

    here = prepare(config, tmp_path / "here", workforce=Workforce(workers=1))
    table, expected = FaceTable.load(path), FaceTable.load(here)
    assert len(set(table.rows["image_id"].to_pylist())) == len(table.rows) == IMAGES
    assert read_summary(path) == read_summary(here)
    assert table.rows.drop_columns(["landmarks68", "pose"]).equals(expected.rows.drop_columns(["landmarks68", "pose"]))
    np.testing.assert_allclose(table.landmarks68, expected.landmarks68, atol=1e-3)
    np.testing.assert_array_equal(table.crops, expected.crops)
    np.testing.assert_array_equal(table.parsing, expected.parsing)
