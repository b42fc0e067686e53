"""What a chosen point must satisfy, and whether a score does."""

from typing import NamedTuple

from veil.protocol.score import Estimate, TrialScore


class Budget(NamedTuple):
    """What a chosen point must satisfy.

    Attributes:
        max_leak: largest leak, in [0, 1].
        min_utility: smallest utility, in [0, 1].
        knee: take the knee of the frontier.
        trial: take this trial.
        conservative: judge budgets by the unfavourable ends of the intervals instead of by the values.
    """

    max_leak: float | None
    min_utility: float | None
    knee: bool
    trial: int | None
    conservative: bool = False

    @property
    def options(self) -> str:
        """The budget as it is typed.

        >>> Budget(0.1, None, True, None).options
        '--max-leak 0.1 --knee'
        """
        parts = [
            f"--trial {self.trial}" if self.trial is not None else "",
            f"--max-leak {self.max_leak:g}" if self.max_leak is not None else "",
            f"--min-utility {self.min_utility:g}" if self.min_utility is not None else "",
            "--knee" if self.knee else "",
            "--conservative" if self.conservative else "",
        ]
        return " ".join(part for part in parts if part)

    def refuses(self, score: TrialScore) -> str | None:
        """Why a sealed score must not be registered, None if it may be: it is invalid, or breaks the budget."""
        if not score.valid:
            return f"its score is invalid: {score.reason}"
        broken = self._broken(score, self.conservative)
        return f"it breaks the budget: {broken}" if broken is not None else None

    def caution(self, score: TrialScore) -> str | None:
        """How far a score that keeps the budget reaches beyond it with its interval; None if it does not."""
        return None if self.conservative else self._broken(score, conservative=True)

    def _broken(self, score: TrialScore, conservative: bool) -> str | None:
        leak, utility = score.objectives["leak"], score.objectives["utility"]
        by = ", judged by the unfavourable end of the interval" if conservative else ""
        if self.max_leak is not None and (leak.high if conservative else leak.value) > self.max_leak:
            return f"leak {interval(leak)} is above {self.max_leak:g}{by}"
        if self.min_utility is not None and (utility.low if conservative else utility.value) < self.min_utility:
            return f"utility {interval(utility)} is below {self.min_utility:g}{by}"
        return None


def interval(estimate: Estimate) -> str:
    """Text of an estimate.

    >>> interval(Estimate(value=0.5, low=0.25, high=1))
    '0.50 [0.25, 1.00]'
    """
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
