"""What a terminal shows of a study's status, and the command that shows it."""

import io
import json
import re
import time
from pathlib import Path

import pytest
from rich.console import Console
from study_helpers import call_veil
from watched_study import START, WatchedStudy

from veil.driver_state import DrivenTrial, NodeState
from veil.records import EarlyScore
from veil.status import StudyWatch
from veil.status.view import MOST_REASONS, status_view

NODES = (
    NodeState(host="head", cpus=4, cpus_used=0, memory_bytes=8 * 10**9, memory_used_bytes=3 * 10**9),
    NodeState(host="node-1", cpus=16, cpus_used=12, gpus=2, gpus_used=2, memory_bytes=64 * 10**9),
)


def shown(study: WatchedStudy, now: float, width: int = 120, most_rows: int = 50) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(status_view(StudyWatch(study.folder.path).look(now), most_rows))
    return console.file.getvalue()


def line_with(words: str, text: str) -> str:
    (found,) = [line for line in text.splitlines() if words in line]
    return " ".join(found.replace("│", " ").split())


def running_study(root: Path) -> WatchedStudy:
    study = WatchedStudy(root, trials=40)
    running = tuple(DrivenTrial(number=number, label=f"[pixels] id {number}", images=8000) for number in (4, 5))
    queued = (DrivenTrial(number=6, label="pixels id 6"),)
    study.drive(START + 990, nodes=NODES, running=running, queued=queued, ray_address="10.0.0.1:6379")
    study.finish(0, START + 300, leak=0.6)
    study.finish(1, START + 600, leak=0.4)
    study.finish(2, START + 900, "failed", reason="KeyError: '[red]'")
    study.attempt(4, START + 400, "node-1")
    study.attempt(4, START + 700, "node-2")
    study.attempt(5, START + 900, "node-1")
    study.folder.write_early_score(4, EarlyScore(images=2000, rank=2, of=3, verdict="goes on"))
    return study


def test_a_study_that_runs(tmp_path: Path) -> None:
    text = shown(running_study(tmp_path), START + 1000)
    assert "3 of 40 trials" in text
    counts = "2 valid 1 failed 2 running 35 waiting, 1 for resources"
    assert line_with("valid 1", " ".join(text.split())).find(counts) >= 0
    assert line_with("#4", text) == "#4 2nd try [pixels] id 4 node-2 2,000 of 8,000 2 of 3 at 2,000 5 min"
    assert line_with("#5", text) == "#5 [pixels] id 5 node-1 2 min"
    assert line_with("KeyError", text) == "1 × failed KeyError: '[red]' #2", "no markup is read into it"
    assert (
        "12 of 16" in text and "2 of 2" in text and "3.0 of 8.0 GB" in text and "12 of 20" in line_with("2 nodes", text)
    )
    assert "10.0.0.1:6379, without a dashboard" in text
    assert f"veil ui toy --root {tmp_path}" in text and f"veil frontier toy --root {tmp_path} --open" in text
    assert "0.300 last raised by #1, 1 trial before the last" in " ".join(text.split())
    assert "as the last 3 did, 12 an hour" in text and ", in 3 h 3 min" in text


@pytest.mark.parametrize(("search", "told"), [({"cpus_per_trial": 16}, False), ({"gpus_per_trial": 3}, True)])
def test_trials_that_no_node_can_hold_are_told(tmp_path: Path, search: dict[str, int], told: bool) -> None:
    study = WatchedStudy(tmp_path, trials=4, **search)
    study.drive(START, nodes=NODES, queued=(DrivenTrial(number=0, label="pixels"),))
    assert ("no node that is up offers both" in " ".join(shown(study, START + 5).split())) is told


def test_a_study_of_a_cluster_is_continued_on_the_cluster(tmp_path: Path) -> None:
    study = WatchedStudy(tmp_path, trials=4)
    for joined, goes_on in ((None, "`"), ("auto", " --address auto`")):
        study.drive(START, outcome="interrupted", joined=joined)
        assert f"--root {tmp_path}{goes_on} goes on" in shown(study, START + 5, width=400)


def test_many_trials_leave_room_for_the_rest(tmp_path: Path) -> None:
    text = shown(running_study(tmp_path), START + 1000, most_rows=1)
    assert "#4" in text and "#5" not in text and "node-1" not in text and text.count("… 1 more") == 2
    assert "12 of 20" in line_with("2 nodes", text), "all nodes are summed"


def test_narrow_terminals_break_no_line(tmp_path: Path) -> None:
    text = shown(running_study(tmp_path), START + 1000, width=60)
    assert max(map(len, text.splitlines())) <= 60


def test_the_end_is_unknown_at_first(tmp_path: Path) -> None:
    study = WatchedStudy(tmp_path, trials=4)
    study.drive(START)
    study.finish(0, START + 5)
    assert "unknown before two trials of this run have finished" in shown(study, START + 6)


@pytest.mark.parametrize(
    ("driver", "now", "words"),
    [
        ({"host": "far"}, 74, "(process {pid} on far) has not written for 74 s; if it is gone, {resume}"),
        ({"process": 2**22 + 1}, 74, "is gone since"),
        ({"outcome": "failed", "error": "TrackingError: away"}, 74, "TrackingError: away"),
        ({"outcome": "interrupted"}, 74, "{resume}"),
    ],
)
def test_a_driver_that_is_not_well_says_what_to_do(tmp_path: Path, driver: dict, now: float, words: str) -> None:
    study = WatchedStudy(tmp_path, trials=4)
    study.drive(START, **{"process": 77, **driver})
    text = " ".join(shown(study, START + now, width=400).split())
    assert words.format(pid=77, resume=f"`veil resume toy --root {tmp_path}` goes on") in text


def test_few_reasons_are_told_in_full_and_many_in_a_line_each(tmp_path: Path) -> None:
    study = WatchedStudy(tmp_path, trials=40)
    study.finish(0, START, "failed", reason=f"ValueError: {'long ' * 40}end")
    assert "end" in shown(study, START)
    words = "abcdefghijkl"
    for number, word in enumerate(words, start=1):
        study.finish(number, START + number, "failed", reason=f"ValueError: {word} {'long ' * 40}end")
    text = shown(study, START)
    assert len(re.findall("1 × +failed", text)) == MOST_REASONS and "end" not in text
    assert f"{len(words) + 1 - MOST_REASONS} more reasons" in text


def test_the_command(tmp_path: Path) -> None:
    study = running_study(tmp_path)
    once = call_veil("status", "toy", "--root", str(tmp_path))
    assert once.returncode == 0 and "3 of 40 trials" in once.stdout, "into a pipe it prints once"
    assert call_veil("status", "toy", "--root", str(tmp_path), "--quiet").stdout == ""
    found = json.loads(call_veil("status", "toy", "--root", str(tmp_path), "--json", "-").stdout)
    assert (found["trials"], found["outcomes"]["valid"], found["waiting"]) == (40, 2, 35)
    assert found["state"] == "silent" and [trial["number"] for trial in found["running"]] == [4, 5]
    assert found["reasons"] == [{"state": "failed", "text": "KeyError: '[red]'", "trials": [2]}]
    study.drive(time.time(), started=START)
    again = tmp_path / "status.json"
    assert call_veil("status", "toy", "--root", str(tmp_path), "--json", str(again)).returncode == 0
    assert json.loads(again.read_text())["state"] == "running"


def test_all_studies_of_a_folder(tmp_path: Path) -> None:
    assert "no study in" in call_veil("status", "--root", str(tmp_path)).stderr
    running_study(tmp_path)
    listed = call_veil("status", "--root", str(tmp_path))
    assert listed.returncode == 0 and "3 of 40" in line_with("toy", listed.stdout)
    assert [
        found["study"] for found in json.loads(call_veil("status", "--root", str(tmp_path), "--json", "-").stdout)
    ] == ["toy"]
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "study.yaml").write_text("searh: {}")
    partly = call_veil("status", "--root", str(tmp_path))
    assert partly.returncode == 3 and "toy" in partly.stdout and "torn" in partly.stderr
