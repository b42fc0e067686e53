"""What each attacker of the ladder found: all trials side by side, and every rung of one."""

from typing import NamedTuple

from markupsafe import Markup

from veil.protocol.measurement import CONTROL
from veil.protocol.score import RungScore, TrialScore
from veil.records import TrialRecord
from veil.report.material import Material, attacker_of
from veil.tracking.metrics import rung_path

MOST_ROWS = 60
"""Trials that a table of the report lists; more would bury them."""


class LadderRow(NamedTuple):
    """One trial.

    Attributes:
        record: the trial.
        cells: TAR of each attacker with its interval; a dash where it did not attack.
        gap: recovery gap; a dash where there is none.
        chance: 95th percentile of the leak under permuted labels.
    """

    record: TrialRecord
    cells: tuple[Markup, ...]
    gap: Markup
    chance: Markup


class RungRow(NamedTuple):
    """One way of attacking one trial; every cell is ready to be shown."""

    rung: RungScore
    tar: Markup
    eer: Markup
    auc: Markup
    rank_1: Markup
    rank_5: Markup
    chance: Markup
    people: Markup
    pairs: Markup


def listed_trials(material: Material) -> list[TrialRecord]:
    """Valid trials in the order of the report's tables, at most MOST_ROWS: frontier, then ties, then the others."""
    if material.rows:
        return [material.record(point.trial) for point, _ in material.rows][:MOST_ROWS]
    return material.valid[:MOST_ROWS]


def ladder_rows(material: Material) -> list[LadderRow]:
    """For each listed trial the best that each attacker achieved; of the control the worst recognizer."""
    return [_ladder_row(material, record) for record in listed_trials(material)]


def _ladder_row(material: Material, record: TrialRecord) -> LadderRow:
    evidence, score, none = material.evidence, material.scores[record.number], Markup("–")
    cells = []
    for rung, name in material.attackers:
        own = [item for item in score.rungs if attacker_of(item) == name]
        if not own:
            cells.append(none)
            continue
        pick = min if rung == CONTROL else max
        shown = pick(own, key=lambda item: item.tar.value)
        cells.append(evidence.interval(shown.tar, f"{rung_path(score, shown)}/tar", record.number))
    gap, chance = score.recovery_gap, score.leak_floor_95
    return LadderRow(
        record=record,
        cells=tuple(cells),
        gap=evidence.interval(gap, "recovery_gap", record.number) if gap else none,
        chance=evidence.number(chance, "floor/leak_95", record.number) if chance is not None else none,
    )


def rung_rows(material: Material, trial: int) -> list[RungRow]:
    """Every rung of a trial, in ladder order."""
    score = material.scores[trial]
    return [_rung_row(material, trial, score, rung) for rung in sorted(score.rungs, key=lambda rung: rung.rung)]


def _rung_row(material: Material, trial: int, score: TrialScore, rung: RungScore) -> RungRow:
    path, evidence = rung_path(score, rung), material.evidence

    def number(name: str, form: str) -> Markup:
        return evidence.number(getattr(rung, name), f"{path}/{name}", trial, form)

    return RungRow(
        rung=rung,
        tar=evidence.interval(rung.tar, f"{path}/tar", trial),
        eer=number("eer", ".3f"),
        auc=number("auc", ".3f"),
        rank_1=number("rank_1", ".2f"),
        rank_5=number("rank_5", ".2f"),
        chance=Markup("{} / {}").format(number("floor_mean", ".3f"), number("floor_95", ".3f")),
        people=number("n_identities", ".0f"),
        pairs=Markup("{} / {}").format(number("n_genuine", ".0f"), number("n_impostor", ".0f")),
    )
