"""A study of four blurs whose sealed scores come from a table, for tests of what `veil pick` does with them."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from veil.config import StudyConfig
from veil.picking import Budget, pick_point
from veil.picking.rescoring import SealedPeople
from veil.protocol.measurement import Spread
from veil.protocol.score import Estimate, RungScore, TrialScore
from veil.records import Manifest, TrialRecord
from veil.sealed import SealedLook
from veil.study import StudyFolder

SEARCH = {0: (0.05, 0.40), 1: (0.08, 0.60), 2: (0.09, 0.80), 3: (0.60, 0.90)}
"""Leak and utility of each trial on the search people."""

PEOPLE = 10


def estimate(value: float, half_width: float = 0.02) -> Estimate:
    return Estimate(value=value, low=max(value - half_width, 0.0), high=min(value + half_width, 1.0))


def make_score(leak: float, utility: float, split: str, suite: str = "s") -> TrialScore:
    rungs = tuple(
        RungScore(
            name=name, rung=rung, recognizer="dlib_resnet", tar=estimate(tar), eer=0.1, auc=0.9, rank_1=0.5, rank_5=1,
            n_identities=PEOPLE, n_genuine=450, n_impostor=4500, floor_mean=0.01, floor_95=0.02,
        )
        for name, rung, tar in (("control", "A0", 1.0), ("naive", "A1", 0.0), ("informed/closed_set/seed1", "A4", leak))
    )  # fmt: skip
    return TrialScore(
        valid=True, rungs=rungs, objectives={"leak": estimate(leak), "utility": estimate(utility)}, target_split=split,
        strongest="informed/closed_set/seed1", n_images=100, undetected=1, suite_hash=suite, data_hash="d",
        contract_hash="c", versions={"veil": "0.1.0"},
    )  # fmt: skip


class PickingStudy:
    """The study and the table.

    Attributes:
        folder: of the study.
        sealed: score of each trial on the sealed people; those of the search people unless a test says otherwise.
        scored: trials that were attacked on the sealed people, in order.
        output: what was printed.
    """

    def __init__(self, root: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shutil.copy(database, root / "mlflow.db")
        self.config = StudyConfig(study="blurs", root=root)
        manifest = Manifest(
            space="smoke", base_hash="", suite_hash="s", data_hash="d", contract_hash="c",
            objectives=("leak", "utility"),
        )  # fmt: skip
        self.folder = StudyFolder(self.config.folder)
        self.folder.create(self.config, manifest)
        rng = np.random.default_rng(0)
        for number, (leak, utility) in SEARCH.items():
            score = make_score(leak, utility, "search")
            record = TrialRecord(
                number=number, state="valid", trainable="baseline", family="classical", label=f"blur {number}",
                params={"method": "blur", "kernel": 11 + 2 * number}, objectives=score.objectives, score=score,
            )  # fmt: skip
            self.folder.write_record(record)
            spreads = {
                name: Spread(value + 0.01 * rng.standard_normal(PEOPLE), np.full(5, value))
                for name, value in (("leak", leak), ("utility", utility))
            }
            self.folder.write_spreads(number, spreads)
        self.sealed = {number: make_score(leak, utility, "sealed") for number, (leak, utility) in SEARCH.items()}
        self.scored: list[int] = []
        self.output = io.StringIO()
        monkeypatch.setattr(SealedPeople, "_score", lambda people, record: self._score(people, record))

    def _score(self, people: SealedPeople, record: TrialRecord) -> TrialScore:
        self.scored.append(record.number)
        return self.sealed[record.number].model_copy(update={"suite_hash": people._suite_hash()})

    def pick(self, budget: Budget, register: str | None = None, **options: object) -> SealedLook | None:
        console = Console(file=self.output, width=1000)
        return pick_point(self.folder, budget, register, console, **options)

    @property
    def printed(self) -> str:
        return self.output.getvalue()
