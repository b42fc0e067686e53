"""Passing on to a store that comes and goes."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from veil.config import StudyConfig
from veil.errors import TrackingError
from veil.protocol.score import Estimate
from veil.records import Manifest, TrialRecord
from veil.study import StudyFolder
from veil.tracking import outbox as outboxes
from veil.tracking.outbox import RETRY_SECONDS, Outbox

MANIFEST = Manifest(
    space="analytic", base_hash="b", suite_hash="s", data_hash=None, contract_hash=None, objectives=("leak", "utility")
)


class Store:
    """What a tracker would log, and whether it can."""

    away = False

    def __init__(self) -> None:
        self.trials: list[int] = []
        self.losses: list[tuple[int, int]] = []

    def __call__(self, config: StudyConfig, manifest: Manifest) -> "Store":
        self._ask()
        return self

    def _ask(self) -> None:
        if self.away:
            raise TrackingError("the store is away")

    def log_progress(self, number: int, points: Sequence[dict[str, float]]) -> None:
        self._ask()
        self.losses.append((number, len(points)))

    def log_trial(self, record: TrialRecord, folder: StudyFolder) -> None:
        self._ask()
        self.trials.append(record.number)

    def log_missing(self, folder: StudyFolder) -> None:
        self._ask()
        self.trials += [number for number in folder.finished() if number not in self.trials]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test moves."""
    clock = [0.0]
    monkeypatch.setattr(outboxes.time, "monotonic", lambda: clock[0])
    return clock


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store()
    monkeypatch.setattr(outboxes, "Tracker", store)
    return store


@pytest.fixture
def outbox(tmp_path: Path, store: Store) -> Outbox:
    config = StudyConfig(study="toy", root=tmp_path)
    folder = StudyFolder(config.folder)
    folder.create(config, MANIFEST)
    exact = {name: Estimate(value=0.5, low=0.5, high=0.5) for name in MANIFEST.objectives}
    for number in range(4):
        folder.write_record(
            TrialRecord(
                number=number, state="valid", trainable="analytic", family="analytic", label="a", objectives=exact
            )
        )
    return Outbox(config, MANIFEST)


def test_what_a_store_was_away_for_is_passed_on_when_it_is_back(outbox: Outbox, store: Store, now: list[float]) -> None:
    assert outbox.pass_on({0: [{"progress/images": 1.0}]}, []) is None
    assert outbox.pass_on({}, [0]) is None
    store.away = True
    assert outbox.pass_on({1: [{"progress/images": 1.0}]}, [1]) == "the store is away"
    store.away = False
    assert outbox.pass_on({}, [2]) is None
    assert store.trials == [0], "a store that was away is left alone for a while"
    now[0] += RETRY_SECONDS
    assert outbox.pass_on({}, []) is None
    assert store.trials == [0, 1, 2] and store.losses == [(0, 1)]


def test_completing_waits_for_no_retry_and_misses_nothing(outbox: Outbox, store: Store, now: list[float]) -> None:
    store.away = True
    assert outbox.pass_on({}, [0]) == outbox.complete() == "the store is away"
    store.away = False
    assert outbox.complete() is None
    assert store.trials == [0, 1, 2, 3]
