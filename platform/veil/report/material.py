"""Everything that the chapters of a report draw on: the study as it lies on disk, and its runs."""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from veil.config import StudyConfig
from veil.datasets.reader import About
from veil.frontier.dominance import Standing, frontier, ranked
from veil.frontier.points import FrontierPoint
from veil.frontier.stopping import Savings
from veil.objectives import Objective, get_objective
from veil.overview import study_savings
from veil.points import frontier_point
from veil.protocol.measurement import CONTROL
from veil.protocol.score import RungScore, TrialScore
from veil.records import Manifest, StudyKind, TrialRecord
from veil.registry import datasets, search_spaces
from veil.report.evidence import Evidence
from veil.report.findings import Section
from veil.report.threat import Attack, ladder_of
from veil.report.weights import Weights, study_weights
from veil.reporting import study_ties
from veil.sealed import Registration, SealedLook
from veil.study import StudyFolder


@dataclass(frozen=True)
class Material:
    """One study, read once.

    Attributes:
        folder: of the study.
        config, manifest: of the study.
        kind: what it compares.
        records: finished trials, at least one of which is valid and was scored on people.
        sections: what it answers.
        looks: at its sealed people, first to last.
        registrations: operating points that were registered from it.
        evidence: where its numbers lie.
    """

    folder: StudyFolder
    config: StudyConfig
    manifest: Manifest
    kind: StudyKind
    records: Sequence[TrialRecord]
    sections: Sequence[Section]
    looks: Sequence[SealedLook]
    registrations: Sequence[Registration]
    evidence: Evidence

    @cached_property
    def valid(self) -> list[TrialRecord]:
        """Trials with a score that counts."""
        return [record for record in self.records if record.state == "valid" and record.score is not None]

    @cached_property
    def invalid(self) -> list[TrialRecord]:
        """Trials without one, but for those stopped early."""
        return [record for record in self.records if record.state not in ("valid", "stopped")]

    @cached_property
    def savings(self) -> Savings | None:
        """What early stopping did; None without it."""
        return study_savings(self.records, self.objectives) if self.kind == "anonymizers" else None

    @cached_property
    def scores(self) -> dict[int, TrialScore]:
        """Scores of the valid trials."""
        return {record.number: record.score for record in self.valid if record.score is not None}

    @cached_property
    def objectives(self) -> list[Objective]:
        """What the study optimises."""
        return [get_objective(name) for name in self.config.search.objectives]

    @cached_property
    def rows(self) -> list[tuple[FrontierPoint, Standing]]:
        """Valid trials with their standing; none in a study that has no frontier."""
        if self.kind != "anonymizers":
            return []
        return ranked(self.points, self.objectives, study_ties(self.config, self.folder))

    @cached_property
    def points(self) -> list[FrontierPoint]:
        """Trials as points; none in a study that has no frontier."""
        return [frontier_point(record) for record in self.records] if self.kind == "anonymizers" else []

    @cached_property
    def best(self) -> list[FrontierPoint]:
        """The frontier."""
        return frontier(self.points, self.objectives) if self.points else []

    @cached_property
    def knee(self) -> FrontierPoint | None:
        """The point of the frontier with the largest (1 - leak) · utility that shows more than one expression."""
        if not {"leak", "utility"} <= set(self.config.search.objectives):
            return None
        usable = [point for point in self.best if not point.extras.get("collapsed")]
        return max(
            usable,
            key=lambda point: (1 - point.interval("leak").value) * point.interval("utility").value,
            default=None,
        )

    @cached_property
    def people(self) -> int:
        """How many were attacked; the most of any trial."""
        return max((rung.n_identities for score in self.scores.values() for rung in score.rungs), default=0)

    @cached_property
    def images(self) -> int:
        """Photographs of them that were scored; the most of any trial."""
        return max(score.n_images for score in self.scores.values())

    @cached_property
    def lowest_control(self) -> float | None:
        """The smallest TAR on clear images; None where no trial keeps its rungs."""
        found = [rung.tar.value for score in self.scores.values() for rung in score.rungs if rung.rung == CONTROL]
        return min(found, default=None)

    @cached_property
    def about(self) -> About | None:
        """What is known of the dataset; None for a plain plug-in."""
        return getattr(datasets.get(self.config.data.dataset), "about", None)

    @cached_property
    def space(self) -> Any:
        """The search space."""
        return search_spaces.get(self.config.search.space)()

    @cached_property
    def space_says(self) -> str:
        """What the search space says of itself, its first paragraph."""
        return " ".join((inspect.getdoc(type(self.space)) or "").partition("\n\n")[0].split())

    @cached_property
    def weights(self) -> list[Weights]:
        """Nets of the study, by their roles."""
        models = {path: sha for score in self.scores.values() for path, sha in score.models.items()}
        models |= {path: sha for look in self.looks for path, sha in look.score.models.items()}
        return study_weights(self.config.roles, models)

    @cached_property
    def versions(self) -> dict[str, list[str]]:
        """Versions of the software that decided the numbers; several where trials ran under several."""
        found: dict[str, set[str]] = {}
        for score in self.scores.values():
            for name, version in score.versions.items():
                found.setdefault(name, set()).add(version)
        return {name: sorted(values) for name, values in found.items()}

    @cached_property
    def attackers(self) -> list[tuple[str, str]]:
        """Rung and name of every attacker that judged a valid trial, in ladder order."""
        return _attackers(self.scores.values())

    @cached_property
    def ladder(self) -> list[Attack]:
        """Every attacker that Veil knows, whether it judged a trial or not."""
        varied = {name for record in self.valid for name in record.strength}
        return ladder_of(self.config, {name for _, name in self.attackers}, varied)

    @cached_property
    def not_run(self) -> list[str]:
        """Attackers of the ladder that judged no trial."""
        return [f"{attack.rung} {attack.name}" for attack in self.ladder if not attack.run]

    @cached_property
    def sealed_attackers(self) -> list[str]:
        """Attackers that judged a picked point on sealed people; those whom no trial met among them."""
        return [f"{rung} {name}" for rung, name in _attackers(look.score for look in self.looks)]

    def record(self, trial: int) -> TrialRecord:
        """Record of a finished trial."""
        return next(record for record in self.records if record.number == trial)


def attacker_of(rung: RungScore) -> str:
    """Name of the attacker that a rung belongs to."""
    return rung.name.split("/")[0]


def _attackers(scores: Iterable[TrialScore]) -> list[tuple[str, str]]:
    return sorted({(rung.rung, attacker_of(rung)) for score in scores for rung in score.rungs})
