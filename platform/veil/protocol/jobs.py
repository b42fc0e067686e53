"""The attacks of one score as independent jobs, which may run one after another or side by side."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from veil.config import Settings, SuiteConfig
from veil.interfaces import AttackFailedError, AttackSetting, Comparisons
from veil.registry import attackers


@dataclass(frozen=True)
class AttackJob:
    """One attacker with one recognizer.

    Attributes:
        recognizer: name of the recognizer that made the embeddings.
        attacker: registered attacker.
        config: its strength.
        setting: what it is given; jobs of one recognizer share it.
        repetition: number of the seed, from 0, where the attacker attacks with several; None where with one.
    """

    recognizer: str
    attacker: str
    config: Settings
    setting: AttackSetting
    repetition: int | None = None

    @property
    def rung(self) -> str:
        """Rung of the ladder, "A0" to "A6"."""
        rung: str = attackers.get(self.attacker).rung
        return rung

    def run(self) -> "AttackResult":
        """Attack; a failure of this attacker is a result, so that those of others are not lost."""
        started = time.perf_counter()
        setting, suffix = self.setting, ""
        if self.repetition is not None:
            setting, suffix = replace(setting, seed=setting.seed + self.repetition), f"/seed{self.repetition}"
        try:
            found, failure = attackers.get(self.attacker)(self.config)(setting), None
        except AttackFailedError as error:
            found, failure = [], f"attacker {self.attacker!r} with {self.recognizer!r} failed: {error}"
        comparisons = [replace(item, name=item.name + suffix) for item in found]
        return AttackResult(comparisons, failure, time.perf_counter() - started)


class AttackResult(NamedTuple):
    """What a job returns.

    Attributes:
        comparisons: one or several ways of attacking; empty after a failure.
        failure: why the attack could not be carried out, or what it did not learn; None if it was.
        seconds: wall time.
    """

    comparisons: list[Comparisons]
    failure: str | None
    seconds: float


Runner = Callable[[Sequence[AttackJob]], list[AttackResult]]
"""Runs jobs and returns their results in order."""


def run_in_turn(jobs: Sequence[AttackJob]) -> list[AttackResult]:
    """Run jobs in this process, one after another."""
    return [job.run() for job in jobs]


def repetitions(suite: SuiteConfig, rung: str, config: Settings) -> Sequence[int | None]:
    """Which jobs one attacker of a suite makes: one, or one for each seed; see `AttackJob.repetition`.

    Fixed attackers have no chance in them, and those with `seeds` among their settings repeat themselves.
    """
    if suite.attacker_seeds == 1 or not is_adaptive(rung) or "seeds" in type(config).model_fields:
        return [None]
    return range(suite.attacker_seeds)


def is_adaptive(rung: str) -> bool:
    """Whether attackers of a rung learn from anonymized images.

    >>> is_adaptive("A3"), is_adaptive("A4")
    (False, True)
    """
    return rung >= "A4"
