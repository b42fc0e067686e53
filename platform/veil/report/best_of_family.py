"""One family of methods against all others: at equal or lower leak, does it keep more of the expression?"""

from collections.abc import Mapping, Sequence

from veil.frontier.points import Interval
from veil.metrics.intervals import PairedDifference, paired_difference, rate_interval
from veil.report.findings import (
    LEVEL,
    JudgedTrial,
    Row,
    Section,
    adjusted,
    check_same_people,
    difference_words,
    excludes_zero,
)

QUANTITIES = ("leak", "utility")


def against_baselines(trials: Sequence[JudgedTrial], family: str) -> Section:
    """For each trial of another family, the trial of `family` with the most utility among those that leak no more.

    Args:
        trials: valid ones whose anonymizers show more than one expression.
        family: the proposed one.

    Raises:
        ProtocolError: trials were scored on different people.
    """
    check_same_people(trials)
    own = [trial for trial in trials if trial.family == family]
    others = sorted(
        (trial for trial in trials if trial.family != family),
        key=lambda trial: (trial.family, trial.values["leak"], trial.number),
    )
    chosen = [_best(own, other.values["leak"]) for other in others]
    differences = [
        _differences(best, other) if best is not None else {} for best, other in zip(chosen, others, strict=True)
    ]
    p_values = adjusted(differences)
    rows = tuple(
        Row(
            name=f"{other.label} ({other.family}, trial {other.number})",
            beside=f"trial {best.number}, {best.label}" if best is not None else f"no {family} leaks so little",
            trials=(other.number, *([best.number] if best is not None else [])),
            values={name: Interval(other.values[name], *rate_interval(other.values[name], other.left_out[name]))
                    for name in QUANTITIES},
            differences=found,
            p_values=p,
        )
        for other, best, found, p in zip(others, chosen, differences, p_values, strict=True)
    )  # fmt: skip
    return Section(
        heading=f"{family} against each trial of another family",
        quantities=QUANTITIES,
        rows=rows,
        sentences=tuple(_sentences(rows, family)),
        notes=(
            "Each row is a trial of another family, with its own leak and utility. Beside it stands the trial of "
            f"{family} with the most utility among those whose leak is at most as high; differences are that trial "
            "minus the row, paired by person.",
            "That trial was chosen on the same people on whom it is compared, which flatters it: p-values are adjusted "
            "for the number of rows (Holm), not for that choice. Sealed people confirm or refute it (veil pick).",
            "A row is dominated if the difference of utility is positive and significant after adjustment, and the "
            "leak is no higher by value.",
        ),
    )  # fmt: skip


def _best(own: Sequence[JudgedTrial], leak: float) -> JudgedTrial | None:
    within = [trial for trial in own if trial.values["leak"] <= leak]
    return max(within, key=lambda trial: (trial.values["utility"], -trial.values["leak"], -trial.number), default=None)


def _differences(best: JudgedTrial, other: JudgedTrial) -> dict[str, PairedDifference]:
    return {
        name: paired_difference(best.values[name], best.left_out[name], other.values[name], other.left_out[name])
        for name in QUANTITIES
    }


def is_dominated(differences: Mapping[str, PairedDifference], p_values: Mapping[str, float]) -> bool:
    """Whether a row is dominated beyond noise."""
    utility = differences.get("utility")
    return utility is not None and utility.value > 0 and excludes_zero(utility) and p_values["utility"] <= LEVEL


def _sentences(rows: Sequence[Row], family: str) -> list[str]:
    dominated = [row for row in rows if is_dominated(row.differences, row.p_values)]
    sentences = [f"{family} dominates {len(dominated)} of {len(rows)} trials of other families beyond noise"]
    for row in rows:
        if row in dominated:
            continue
        if not row.differences:
            sentences.append(f"{row.name} stands: {row.beside} ({row.values['leak']})")
        else:
            found = difference_words(row.differences["utility"])
            sentences.append(f"{row.name} is not dominated: at no more leak, {row.beside} changes utility by {found}")
    return sentences
