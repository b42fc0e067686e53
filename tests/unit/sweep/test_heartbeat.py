"""What the driver publishes of itself, and how often."""

import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from watched_study import WatchedStudy

from veil.driver_state import DrivenTrial, DriverState, NodeState, read_driver_state
from veil.errors import TrackingError
from veil.sweep import heartbeat
from veil.sweep.heartbeat import EVERY_SECONDS, Heartbeat
from veil.sweep.keys import NUMBER, PROGRESS_IMAGES

NODE = NodeState(host="head", cpus=4, cpus_used=2)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def study(tmp_path: Path) -> WatchedStudy:
    return WatchedStudy(tmp_path, trials=2)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    ray = {"nodes": (NODE,), "ray_address": "127.0.0.1:6379", "dashboard": "http://127.0.0.1:8265"}
    monkeypatch.setattr(heartbeat, "ray_state", lambda: ray)
    return Clock()


def published(study: WatchedStudy) -> DriverState:
    state = read_driver_state(study.folder)
    assert state is not None
    return state


def tune_trial(number: int, status: str, last_result: dict[str, Any] | None = None) -> Any:
    """What Tune tells its callbacks of a trial."""
    config = {NUMBER: number, "trainable": "analytic", "params": {"x": 0.25, "images": 60}}
    return SimpleNamespace(config=config, status=status, last_result=last_result)


def test_before_and_after_the_trials(study: WatchedStudy, clock: Clock) -> None:
    assert read_driver_state(study.folder) is None
    with Heartbeat(study.folder.config(), study.folder, clock=clock) as beat:
        first = published(study)
        assert (first.outcome, first.host, first.process) == ("running", socket.gethostname(), os.getpid())
        assert (first.started, first.updated, first.nodes) == (1000, 1000, ())
        clock.now += 1
        beat.on_step_end(1, [])
        assert published(study).dashboard == "http://127.0.0.1:8265"
        study.finish(0, 0.0)
        study.finish(1, 0.0)
        clock.now += 1
    last = published(study)
    assert (last.outcome, last.started, last.updated, last.error) == ("finished", 1000, 1002, None)
    assert (last.nodes, last.running, last.ray_address) == ((), (), None), "Ray is gone"


def test_what_runs_and_waits(study: WatchedStudy, clock: Clock) -> None:
    with Heartbeat(study.folder.config(), study.folder, clock=clock) as beat:
        trials = [
            tune_trial(0, "TERMINATED"),
            tune_trial(1, "RUNNING", {PROGRESS_IMAGES: 20}),
            tune_trial(2, "PENDING"),
        ]
        beat.on_step_end(1, trials)
        state = published(study)
    label = "analytic x=0.25 y=0.00"
    assert state.running == (DrivenTrial(number=1, label=label, images=60, images_seen=20),)
    assert state.queued == (DrivenTrial(number=2, label=label, images=60),)
    assert state.nodes == (NODE,)


def test_steps_in_quick_succession_write_once(study: WatchedStudy, clock: Clock) -> None:
    with Heartbeat(study.folder.config(), study.folder, clock=clock) as beat:
        writes = set()
        for step in range(1000):
            clock.now = 1000 + step * 0.02
            beat.on_step_end(step, [])
            writes.add(published(study).updated)
    assert sorted(writes) == pytest.approx([1000 + beat * EVERY_SECONDS for beat in range(4)])


@pytest.mark.parametrize(
    ("error", "outcome", "told"),
    [
        (KeyboardInterrupt(), "interrupted", None),
        (TrackingError("the store is away"), "failed", "TrackingError: the store is away"),
    ],
)
def test_how_it_ended(study: WatchedStudy, clock: Clock, error: BaseException, outcome: str, told: str | None) -> None:
    with pytest.raises(type(error)), Heartbeat(study.folder.config(), study.folder, "auto", clock):
        raise error
    assert (published(study).outcome, published(study).error) == (outcome, told)
    assert published(study).joined == "auto", "the cluster is known after its end, for who goes on"


def test_a_full_disk_does_not_end_the_sweep(study: WatchedStudy, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise heartbeat.DataError("no space left on device")

    with Heartbeat(study.folder.config(), study.folder, clock=clock) as beat:
        with monkeypatch.context() as patch:
            patch.setattr(heartbeat, "write_driver_state", full)
            clock.now += 6
            beat.on_step_end(1, [])
        assert published(study).updated == 1000
        clock.now += 6
        beat.on_step_end(2, [])
        assert published(study).updated == 1012
