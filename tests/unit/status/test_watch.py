"""What is told of studies in every state, from files that were written by hand."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from watched_study import START, WatchedStudy

from veil.driver_state import PUBLISHED, DrivenTrial, NodeState
from veil.errors import ConfigError, VeilError
from veil.protocol.measurement import Spread
from veil.protocol.score import Estimate
from veil.records import EarlyScore
from veil.status import StudyWatch
from veil.status.watch import SILENT_SECONDS
from veil.study import StudyFolder


def look(study: WatchedStudy, now: float):
    return StudyWatch(study.folder.path).look(now)


@pytest.fixture
def study(tmp_path: Path) -> WatchedStudy:
    return WatchedStudy(tmp_path, trials=10)


def process_that_is_gone() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_study_that_does_not_exist_names_the_nearest(study: WatchedStudy) -> None:
    with pytest.raises(ConfigError, match="did you mean 'toy'"):
        StudyWatch(study.folder.path.parent / "toys").look(START)


def test_nothing_has_begun(study: WatchedStudy) -> None:
    found = look(study, START)
    assert (found.state, found.finished, found.waiting, found.changed) == ("interrupted", 0, 10, None)
    assert found.volume is None and found.pace is None and found.driver is None and found.reasons == ()
    study.drive(START)
    assert look(study, START + 4).state == "running"


def test_every_trial_is_counted_once(study: WatchedStudy) -> None:
    study.drive(START + 100, running=(DrivenTrial(number=6, label="point 6"),))
    study.finish(0, START + 10, leak=0.6)
    study.finish(1, START + 20, leak=0.4)
    study.finish(2, START + 30, "diverged", reason="loss/rec is nan at image 812")
    study.finish(3, START + 40, "failed", reason="KeyError: 'x'")
    study.finish(4, START + 50, "invalid", reason="control 0.7 is below 0.95")
    early = EarlyScore(images=9, rank=4, of=4, verdict="stopped")
    study.finish(5, START + 60, "stopped", reason="rung 9: rank 4 of 4", early_scores=(early,))
    study.attempt(6, START + 70)
    study.attempt(7, START - 500)
    found = look(study, START + 101)
    assert found.outcomes == {"valid": 2, "stopped": 1, "diverged": 1, "invalid": 1, "failed": 1}
    assert [trial.number for trial in found.running] == [6], "7 is what an earlier driver left"
    assert [trial.number for trial in found.interrupted] == [7]
    assert found.finished + len(found.running) + len(found.interrupted) + found.waiting == found.trials == 10
    assert found.volume is not None and found.volume.hypervolume.value == pytest.approx(0.3)
    assert (found.volume.improved_by, found.volume.trials_since) == (1, 4)
    assert found.changed == START + 60


def test_a_running_trial_tells_where_and_how_far_it_is(study: WatchedStudy) -> None:
    study.attempt(3, START + 10, "node-1")
    study.attempt(3, START + 30, "node-2")
    told = DrivenTrial(number=3, label="GAN id 6", images=8000, images_seen=100)
    study.drive(START + 40, running=(told,))
    with study.folder.progress_path(3).open("w") as log:
        log.writelines(json.dumps({"progress/images": seen, "loss/rec": 0.1}) + "\n" for seen in range(100, 2100, 100))
        log.write('{"progress/im')
    for images, rank in ((900, 2), (1800, 3)):
        study.folder.write_early_score(3, EarlyScore(images=images, rank=rank, of=7, verdict="goes on"))
    (trial,) = look(study, START + 45).running
    assert (trial.label, trial.host, trial.attempt, trial.started) == ("GAN id 6", "node-2", 2, START + 30)
    assert (trial.images_seen, trial.images) == (2000, 8000)
    assert trial.rung is not None and (trial.rung.images, trial.rung.rank, trial.rung.of) == (1800, 3, 7)


def test_what_trials_on_several_workers_report_comes_from_the_driver(study: WatchedStudy) -> None:
    study.attempt(0, START + 10)
    study.drive(START + 40, running=(DrivenTrial(number=0, label="GAN", images=8000, images_seen=500),))
    (trial,) = look(study, START + 41).running
    assert trial.images_seen == 500


def test_what_has_begun_since_the_driver_wrote_is_queued_no_more(study: WatchedStudy) -> None:
    queued = tuple(DrivenTrial(number=number, label=f"point {number}") for number in range(4))
    study.drive(START + 10, queued=queued)
    assert look(study, START + 11).queued == 4
    study.attempt(0, START + 12)
    study.finish(1, START + 12)
    found = look(study, START + 13)
    assert (found.queued, found.waiting) == (2, 8)
    assert [trial.label for trial in found.running] == ["point 0"], "named before it is known to run"


def test_a_killed_driver(study: WatchedStudy) -> None:
    study.drive(START, process=process_that_is_gone(), running=(DrivenTrial(number=0, label="point 0"),))
    study.attempt(0, START + 1)
    assert look(study, START + SILENT_SECONDS).state == "running"
    found = look(study, START + SILENT_SECONDS + 1)
    assert (found.state, found.running, found.pace) == ("killed", (), None)
    assert [trial.number for trial in found.interrupted] == [0]


def test_a_silent_driver_is_not_called_dead(study: WatchedStudy) -> None:
    study.drive(START)
    assert look(study, START + 74).state == "silent", "its process is this one"
    study.drive(START, process=process_that_is_gone(), host="elsewhere")
    assert look(study, START + 74).state == "silent", "another machine's processes cannot be seen"


@pytest.mark.parametrize(
    ("outcome", "finished", "state"),
    [
        ("finished", 10, "finished"),
        ("finished", 9, "interrupted"),  # search.trials was raised since
        ("interrupted", 4, "interrupted"),
        ("failed", 10, "failed"),
    ],
)
def test_how_a_driver_ended(study: WatchedStudy, outcome: str, finished: int, state: str) -> None:
    study.drive(START, outcome=outcome, error="TrackingError: away" if outcome == "failed" else None)
    for number in range(finished):
        study.finish(number, START)
    assert look(study, START + 9999).state == state


def test_studies_of_drivers_that_published_nothing(study: WatchedStudy) -> None:
    for number in range(10):
        study.finish(number, START)
    assert look(study, START).state == "finished"


def test_equal_reasons_are_told_once_and_what_is_wrong_first(study: WatchedStudy) -> None:
    study.finish(0, START + 50, "failed", reason="OSError: [Errno 28] disk full")
    study.finish(1, START + 10, "diverged", reason="loss/g_adv is nan at image 812")
    study.finish(2, START + 20, "diverged", reason="loss/g_adv is nan at image 90.5")
    study.finish(3, START + 30, "diverged", reason="loss/rec is nan at image 90")
    for number, images in ((4, 9), (5, 27), (6, 9)):
        early = EarlyScore(images=images, rank=number, of=9, verdict="stopped")
        reason = f"rung {images}: rank {number} of 9"
        study.finish(number, START + 60 + number, "stopped", reason=reason, early_scores=(early,))
    found = look(study, START + 99).reasons
    assert [(reason.text, reason.trials) for reason in found] == [
        ("OSError: [Errno 28] disk full", (0,)),
        ("loss/rec is nan at image 90", (3,)),
        ("loss/g_adv is nan at image 90.5", (2, 1)),
        ("rung 9: rank 6 of 9", (6, 4)),
        ("rung 27: rank 5 of 9", (5,)),
    ]


def test_people_give_the_hypervolume_an_interval(study: WatchedStudy) -> None:
    for number, leak in enumerate((0.5, 0.4)):
        study.finish(number, START)
        record = study.folder.record(number)
        exact = {"leak": leak, "utility": 0.5}
        estimates = {name: Estimate(value=value, low=value, high=value) for name, value in exact.items()}
        study.folder.write_record(record.model_copy(update={"synthetic": False, "objectives": estimates}))
        spread = {
            name: Spread(np.full(10, value), value + 0.05 * np.random.default_rng(0).normal(size=100))
            for name, value in exact.items()
        }
        study.folder.write_spreads(number, spread)
    volume = look(study, START).volume
    assert volume.hypervolume.value == pytest.approx(0.3)
    assert volume.hypervolume.low < 0.3 < volume.hypervolume.high
    quick = StudyWatch(study.folder.path, intervals=False).look(START).volume
    assert quick.hypervolume.low == quick.hypervolume.value == volume.hypervolume.value


def test_a_study_of_attackers_has_no_hypervolume(study: WatchedStudy) -> None:
    study.finish(0, START, strength={"informed": {"images": 2}})
    found = look(study, START)
    assert (found.compares, found.volume) == ("attackers", None)


@pytest.mark.parametrize("text", ["{", "[]", '{"host": "a", "process": 1, "started": 0, "updated": 0, "colour": 1}'])
def test_a_file_that_is_damaged_or_of_another_version_is_named(study: WatchedStudy, text: str) -> None:
    (study.folder.path / PUBLISHED).write_text(text)
    with pytest.raises(VeilError, match="driver.json.*another version"):
        look(study, START)


def test_nothing_is_written(study: WatchedStudy) -> None:
    study.finish(0, START)
    study.attempt(1, START)
    study.drive(START, nodes=(NodeState(host="a", cpus=2, cpus_used=1),))
    before = {path: path.stat().st_mtime_ns for path in study.folder.path.rglob("*")}
    look(study, START)
    assert {path: path.stat().st_mtime_ns for path in study.folder.path.rglob("*")} == before


def test_a_thousand_trials_are_quick_and_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = WatchedStudy(tmp_path, trials=1200)
    study.finish(0, START)
    record = json.loads(study.folder.record_path(0).read_text())
    rng = np.random.default_rng(0)
    for number in range(1, 1000):
        for value in record["objectives"].values():
            value["value"] = value["low"] = value["high"] = float(rng.uniform())
        study.folder.trial(number).mkdir()
        study.folder.record_path(number).write_text(json.dumps({**record, "number": number}))
        os.utime(study.folder.record_path(number), (START + number, START + number))
    study.drive(START + 1000)
    watch = StudyWatch(study.folder.path)
    started = time.process_time()
    first = watch.look(START + 1001)
    assert time.process_time() - started < 2.0
    assert (first.finished, first.waiting, len(first.volume.history)) == (1000, 200, 1000)
    assert first.pace.trials_per_hour == pytest.approx(3600) and first.pace.end == pytest.approx(START + 1201)

    reads: list[int] = []
    whole = StudyFolder.record
    monkeypatch.setattr(StudyFolder, "record", lambda self, number: reads.append(number) or whole(self, number))
    study.finish(1000, START + 1000, leak=0.0)
    study.attempt(1001, START + 1000)
    again = watch.look(START + 1002)
    assert reads == [1000, 1001], "what has finished is not read again"
    assert again.finished == 1001 and len(again.running) == 1
