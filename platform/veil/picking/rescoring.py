"""Scores a trial on the sealed people: report recognizers, every attacker, several seeds; each look is written down."""

import hashlib
import json
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from veil import __version__, registry
from veil.assets import cache_folder
from veil.config import StudyConfig
from veil.errors import ProtocolError
from veil.expression import expression_net_sha256
from veil.faces.storage import read_summary
from veil.faces.study_faces import PreparedFaces, StudyFaces
from veil.picking.budget import Budget
from veil.preparing.study import prepare_study
from veil.protocol.evaluation import Judge
from veil.protocol.jobs import AttackJob, AttackResult
from veil.protocol.judging import open_judge
from veil.protocol.score import TrialScore, suite_hash
from veil.records import TrialRecord
from veil.registry import trainables
from veil.sealed import SealedLook, log_look, sealed_looks
from veil.study import StudyFolder
from veil.tracking import Tracker


class SealedPeople:
    """The sealed people of a study with those who judge on them; loaded when the first trial must be scored.

    Args:
        config: of the study, with the suite that judges here.
        folder: of the study.
        tracker: keeps a run for each look.
        console: where progress goes.

    Attributes:
        config: as given.
    """

    def __init__(self, config: StudyConfig, folder: StudyFolder, tracker: Tracker, console: Console) -> None:
        self.config = config
        self._folder = folder
        self._tracker = tracker
        self._console = console

    @cached_property
    def faces(self) -> StudyFaces:
        """Faces of the study, the same as in its trials.

        Raises:
            ProtocolError: they have changed.
        """
        faces = StudyFaces.load(self.config.data, self._prepared)
        expected = self._folder.manifest()
        for what, found, there in (
            ("another crop contract (contract hash", faces.people.contract_hash, expected.contract_hash),
            ("other contents (data hash", faces.data_hash, expected.data_hash),
        ):
            if found != there:
                raise ProtocolError(
                    f"the prepared faces have changed since the sweep, they have {what} {found}, expected {there}); "
                    "restore the dataset and the detector's files, or sweep anew under another --set study=NAME"
                )
        return faces

    @property
    def contract(self) -> dict[str, Any]:
        """Settings of the crop contract of the faces."""
        return read_summary(self._prepared.people).contract

    @cached_property
    def _prepared(self) -> PreparedFaces:
        return prepare_study(self.config.data, cache_folder())

    def look(self, record: TrialRecord, budget: Budget) -> tuple[SealedLook, int]:
        """Score a trial, or take the score of an earlier look if nothing that decides it has changed.

        Returns:
            the look and its number, counted from 1. The first number is that of a look that is taken again.

        Raises:
            ProtocolError: the faces of the study have changed.
            DataError: the log cannot be read or written.
        """
        digest = _digest(record, self._folder.trial(record.number))
        judged_by, data = self._suite_hash(), self._folder.manifest().data_hash
        earlier = sealed_looks(self._folder)
        for number, look in enumerate(earlier, start=1):
            score = look.score
            versions = score.versions.get("veil")
            if (look.trial_sha256, score.suite_hash, score.data_hash, versions) == (
                digest, judged_by, data, __version__,
            ):  # fmt: skip
                return look.model_copy(update={"asked": budget.options, "refused": budget.refuses(score)}), number
        # Counted before anybody is looked at, which also shows that the look can be tracked.
        self._tracker.tag_sweep({"veil.sealed_looks": str(len(earlier) + 1)})
        score = self._score(record)
        look = SealedLook(
            time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            trial=record.number,
            label=record.label,
            asked=budget.options,
            score=score,
            refused=budget.refuses(score),
            trial_sha256=digest,
        )
        try:
            look = look.model_copy(update={"run_id": self._track(look)})
        finally:
            # Whatever became of the run: what was seen was seen.
            number = log_look(self._folder, look)
        return look, number

    def _suite_hash(self) -> str:
        roles = self.config.roles
        shas = {name: registry.recognizers.get(name).weights_sha256() for name in roles.report}
        return suite_hash(self.config.suite, shas, (roles.evaluator, expression_net_sha256(roles.evaluator)))

    def _score(self, record: TrialRecord) -> TrialScore:
        trainable = trainables.get(record.trainable)()
        settings = trainable.Config.parse(record.params, where=f"trial {record.number}")
        anonymizer = trainable.load(settings, self._folder.trial(record.number))
        columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task("loading the judges", total=None)

            def run_shown(jobs: Sequence[AttackJob]) -> list[AttackResult]:
                results = []
                for index, job in enumerate(jobs):
                    seed = f", seed {job.repetition}" if job.repetition is not None else ""
                    progress.update(
                        task, description=f"{job.rung} {job.attacker}{seed}", completed=index, total=len(jobs)
                    )
                    results.append(job.run())
                progress.update(task, description="measuring", completed=len(jobs))
                return results

            judge: Judge = open_judge(
                self.config, self.faces.people, "sealed", self._folder.cache, run_attacks=run_shown,
                extra=self.faces.extra,
            )  # fmt: skip
            return judge.score(anonymizer).score

    def _track(self, look: SealedLook) -> str:
        score = look.score
        metrics = {f"attack/{rung.recognizer}/{rung.name}/tar": rung.tar.value for rung in score.rungs}
        for name, estimate in score.objectives.items():
            metrics |= {f"sealed/{name}": estimate.value}
            metrics |= {f"sealed/{name}_low": estimate.low, f"sealed/{name}_high": estimate.high}
        tags = {"veil.sealed_trial": str(look.trial), "veil.asked": look.asked, "veil.suite_hash": score.suite_hash}
        if look.refused is not None:
            tags["veil.refused"] = look.refused[:4000]
        files = {"score.json": score.model_dump_json(indent=2)}
        return self._tracker.log_event(f"sealed score of #{look.trial:03d}", metrics, tags, files)


def _digest(record: TrialRecord, trial: Path) -> str:
    """SHA-256 of what an anonymizer is rebuilt from."""
    names = getattr(trainables.get(record.trainable), "model_files", ("",))
    parts = [trial / name for name in names]
    files = sorted(path for part in parts for path in ([part] if part.is_file() else part.rglob("*")) if path.is_file())
    digest = hashlib.sha256(json.dumps([record.trainable, record.params], sort_keys=True).encode())
    for path in files:
        digest.update(path.relative_to(trial).as_posix().encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
