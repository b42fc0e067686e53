"""What early stopping saved a study, and whether it kept the frontier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from veil.frontier.dominance import frontier
from veil.frontier.hypervolume import frontier_hypervolume
from veil.frontier.points import FrontierPoint
from veil.objectives import Objective


@dataclass(frozen=True)
class Training:
    """One training that was compared with others at a rung at least.

    Attributes:
        trial: its number.
        seen: images that it saw.
        length: images that it would have seen without early stopping.
        stopped_at: rung at which it was ended; None if it ran to its end.
        control: whether it ran to its end although the rule would have ended it.
    """

    trial: int
    seen: int
    length: int
    stopped_at: int | None = None
    control: bool = False


@dataclass(frozen=True)
class Savings:
    """What early stopping did in one study.

    Whether a trial that was ended would have reached the frontier, nobody knows. Controls tell: drawn at random before
    anything was known of them, they are what ended trials would have become. The rule is replayed on the trials that
    ran to their end by leaving out the controls.

    Attributes:
        trainings: that were compared.
        stopped: how many were ended, by rung.
        seen: images that all of them saw.
        length: images that they would have seen.
        controls: valid trials that the rule would have ended.
        lost: those of them that lie on the frontier.
        volume: hypervolume of all valid trials.
        volume_without: the same without the controls, which is what the rule keeps.
    """

    trainings: int
    stopped: Mapping[int, int]
    seen: int
    length: int
    controls: int
    lost: int
    volume: float
    volume_without: float

    @property
    def saved(self) -> float:
        """Share of the images that nobody had to see."""
        return 1 - self.seen / self.length

    @property
    def sentence(self) -> str:
        """All of it for a reader."""
        rungs = ", ".join(f"{count} at {rung:,} images" for rung, count in self.stopped.items())
        ended = f"Early stopping ended {sum(self.stopped.values())} of {self.trainings} trainings"
        ended += f" ({rungs})" if rungs else ""
        saved = f"and saved {self.saved:.0%} of their images ({self.length - self.seen:,} of {self.length:,})"
        if not self.controls:
            return f"{ended} {saved}; no control has run to its end, so whether it kept the frontier is not known."
        return (
            f"{ended} {saved}; of {self.controls} more that it would have ended, which ran to their end as controls, "
            f"{self.lost} reached the frontier: hypervolume {self.volume_without:.3f} without the controls, "
            f"{self.volume:.3f} with them."
        )


def savings(
    trainings: Sequence[Training], points: Sequence[FrontierPoint], objectives: Sequence[Objective]
) -> Savings | None:
    """Sum up early stopping; None where no training was compared with others.

    Args:
        trainings: all of the study that were.
        points: all trials of the study.
        objectives: axes.
    """
    if not trainings:
        return None
    rungs = [training.stopped_at for training in trainings if training.stopped_at is not None]
    controls = {training.trial for training in trainings if training.control}
    kept = [point for point in points if point.trial not in controls]
    return Savings(
        trainings=len(trainings),
        stopped={rung: rungs.count(rung) for rung in sorted(set(rungs))},
        seen=sum(training.seen for training in trainings),
        length=sum(training.length for training in trainings),
        controls=sum(point.trial in controls and point.valid for point in points),
        lost=sum(point.trial in controls for point in frontier(points, objectives)),
        volume=frontier_hypervolume(points, objectives),
        volume_without=frontier_hypervolume(kept, objectives),
    )
