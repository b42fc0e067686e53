"""A trial from its values to its record where early stopping is on, in this process."""

import errno
from pathlib import Path
from typing import Any

import pytest

from trainables.analytic import Analytic, distance, evaluate
from veil.config import StudyConfig
from veil.errors import DataError, ProtocolError, StorageError
from veil.interfaces import TrialOutcome
from veil.overview import study_overview
from veil.protocol.score import Estimate, TrialScore
from veil.records import Manifest, TrialRecord
from veil.study import StudyFolder
from veil.sweep import trial as trials
from veil.sweep.keys import NUMBER, SAMPLED

STOPPING = {"rungs": [9, 27], "controls": 0.0}


class Study:
    """A study folder in which trials are run one after another."""

    def __init__(self, root: Path, stopping: dict[str, Any]) -> None:
        search = {"space": "analytic", "early_stopping": stopping}
        self.config = StudyConfig.parse({"study": "toy", "root": str(root), "search": search}, "test")
        self.folder = StudyFolder(self.config.folder)
        manifest = {"space": "analytic", "base_hash": "b", "suite_hash": "s", "objectives": ("leak", "utility")}
        self.folder.create(self.config, Manifest(data_hash=None, contract_hash=None, **manifest))

    def run(self, number: int, **params: Any) -> TrialRecord:
        values = {NUMBER: number, SAMPLED: params, "trainable": "analytic", "params": params}
        trials.run_trial(values, trials.StudyPaths(self.folder.path))
        record = self.folder.record(number)
        assert record is not None
        return record


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(trials.tune, "report", found.append)
    return found


def test_a_trial_that_others_beat_leaves_a_record_without_objectives(tmp_path: Path, reported: list) -> None:
    study = Study(tmp_path, STOPPING)
    best, beaten = study.run(0, x=0.3, y=0.0), study.run(1, x=0.3, y=0.6)
    assert (best.state, beaten.state) == ("valid", "stopped")
    assert [score.images for score in best.early_scores] == [9, 27]
    assert best.trainings == {"trial-00000": 81} and beaten.trainings == {"trial-00001": 9}
    assert beaten.reason == "rung 9: rank 2 of 2 by leak, utility" and not beaten.objectives and beaten.synthetic
    (score,) = beaten.early_scores
    settings = trials.load_trainable("analytic").Config(x=0.3, y=0.6)
    expected = evaluate(0.3, distance(settings, 9 / 81))
    assert tuple(score.objectives[name].value for name in ("leak", "utility")) == expected
    assert set(beaten.seconds) == {"rungs", "total"}
    assert [report["state"] for report in reported] == ["valid", "stopped"] and "leak" not in reported[1]
    found = study_overview(study.config, study.folder).savings
    assert found is not None and (found.stopped, found.seen, found.length) == ({9: 1}, 90, 162)


def test_a_control_ends_with_its_score(tmp_path: Path, reported: list) -> None:
    study = Study(tmp_path, STOPPING | {"controls": 1.0})
    study.run(0, x=0.3, y=0.0)
    control = study.run(1, x=0.2, y=0.6)
    assert control.state == "valid" and [score.verdict for score in control.early_scores] == ["control"]
    found = study_overview(study.config, study.folder).savings
    assert found is not None and (found.controls, found.lost, found.saved) == (1, 0, 0.0)
    assert found.volume == found.volume_without > 0


def test_a_trial_killed_after_its_verdict_is_stopped_without_training(tmp_path: Path, reported: list) -> None:
    study = Study(tmp_path, STOPPING)
    study.run(0, x=0.3, y=0.0)
    first = study.run(1, x=0.3, y=0.6)
    study.folder.record_path(1).unlink()
    again = study.run(1, x=0.3, y=0.6, fail="error")
    assert (again.state, again.reason, again.early_scores) == ("stopped", first.reason, first.early_scores)


def test_anonymizers_are_judged_by_the_attackers_of_early_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Study(tmp_path, STOPPING | {"attackers": ["naive"]}).config

    class Judge:
        def score(self, anonymizer: Any) -> Any:
            leak = Estimate(value=anonymizer, low=0.0, high=1.0)
            card = TrialScore.model_construct(valid=True, objectives={"leak": leak}, reason=None)
            if anonymizer > 0.5:
                card = TrialScore.model_construct(valid=False, objectives={}, reason=str(ProtocolError("too strange")))
            return type("Evaluation", (), {"score": card})

    asked = []

    def early_judge(config: StudyConfig, faces: object, cache: Path) -> Judge:
        asked.append((config.search.early_stopping.attackers, faces))
        return Judge()

    monkeypatch.setattr(trials, "early_judge", early_judge)
    folder, paths = StudyFolder(config.folder), trials.StudyPaths(tmp_path, faces="prepared")
    objectives, reason = trials._judge_early(config, folder, paths, TrialOutcome(anonymizer=0.25))
    assert objectives["leak"].value == 0.25 and reason is None
    assert trials._judge_early(config, folder, paths, TrialOutcome(anonymizer=0.75)) == ({}, "too strange")
    assert asked == [(("naive",), "prepared")] * 2


def test_a_trial_that_diverges_says_how_far_it_came(tmp_path: Path, reported: list) -> None:
    study = Study(tmp_path, STOPPING)
    folder = study.folder
    folder.trial(0).mkdir(parents=True)
    folder.progress_path(0).write_text('{"progress/images": 20}\n{"progress/images": 40}\n{"progr')
    diverged = study.run(0, x=0.3, y=0.0, fail="diverged")
    assert diverged.state == "diverged" and diverged.trainings == {"trial-00000": 40} and not diverged.objectives


def test_a_full_disk_leaves_no_record_of_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study(tmp_path, STOPPING)

    def full(*_: object) -> TrialOutcome:
        raise DataError("cannot write a checkpoint") from OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Analytic, "run", full)
    with pytest.raises(StorageError, match="No space left on device"):
        study.run(0, x=0.3, y=0.0)
    assert study.folder.record(0) is None


def test_lack_of_memory_says_what_to_lower(tmp_path: Path, reported: list, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study(tmp_path, STOPPING)

    def greedy(*_: object) -> TrialOutcome:
        raise MemoryError

    monkeypatch.setattr(Analytic, "run", greedy)
    failed = study.run(0, x=0.3, y=0.0)
    assert failed.state == "failed" and failed.reason is not None
    assert failed.reason.startswith("out of memory: MemoryError; lower the trainable's batch_size")
