"""What a frontier shows of its trials: standings, ties, hypervolume, importance of settings."""

from dataclasses import dataclass

from veil.frontier.dominance import Standing, ranked
from veil.frontier.hypervolume import hypervolume_history
from veil.frontier.importance import Importance
from veil.frontier.points import FrontierPoint, Interval
from veil.frontier.stopping import Savings
from veil.frontier.ties import Ties
from veil.objectives import Objective


@dataclass(frozen=True)
class Overview:
    """A study's frontier, or that of a part of its trials.

    Attributes:
        study: name of the study.
        objectives: axes, in order.
        points: all finished trials looked at, valid or not, by number.
        ties: what the people scored cannot tell apart; None where a valid trial has no people.
        volume: hypervolume of the valid trials with the fixed reference point, and its interval over people.
        importance: of the settings of each method.
        savings: what early stopping did in the whole study; None without it.
    """

    study: str
    objectives: list[Objective]
    points: list[FrontierPoint]
    ties: Ties | None
    volume: Interval
    importance: list[Importance]
    savings: Savings | None = None

    @property
    def tied(self) -> frozenset[int] | None:
        """Numbers of the trials that only noise keeps off the frontier; None where that is not known."""
        return self.ties.trials if self.ties is not None else None

    @property
    def rows(self) -> list[tuple[FrontierPoint, Standing]]:
        """Valid trials with their standings: frontier, ties, beaten."""
        return ranked(self.points, self.objectives, self.tied)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of the trials that tie with each other; empty where that is not known."""
        return self.ties.groups if self.ties is not None else ()

    @property
    def history(self) -> list[float]:
        """Hypervolume after each trial, in order of trial numbers."""
        return hypervolume_history(self.points, self.objectives)
