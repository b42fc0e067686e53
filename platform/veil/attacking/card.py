"""The score card of an attack in words and as a table."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from veil.metrics.intervals import rule_of_three
from veil.objectives import OBJECTIVES
from veil.protocol.score import Estimate, RungScore, TrialScore

CONTROL, NAIVE = "A0", "A1"
FEW_PEOPLE = 20
LEAST_SECONDS = 0.1
HEADINGS = ("rung", "attack", "recognizer", "TAR [95 %]", "EER", "AUC", "rank-1", "rank-5", "chance", "people", "pairs")


def print_card(score: TrialScore, far: float, title: str, notes: Sequence[str], console: Console) -> None:
    """Print the table, the verdict and what limits it; an invalid score has a reason instead of a verdict."""
    console.print()
    console.print(rung_table(score, far, title))
    console.print()
    if score.valid:
        console.print(f"[bold]{escape(verdict(score, far))}[/bold]", highlight=False)
        for line in objective_lines(score):
            console.print(escape(line), highlight=False)
    else:
        console.print(f"[bold red]no valid score[/bold red]: {escape(str(score.reason))}", highlight=False)
    for remark in (*notes, *cautions(score)):
        console.print(f"[yellow]·[/yellow] {escape(remark)}", highlight=False)
    parts = sorted((item for item in score.seconds.items() if item[1] >= LEAST_SECONDS), key=lambda item: -item[1])
    console.print(", ".join(f"{part} {seconds:.1f} s" for part, seconds in parts), style="dim", highlight=False)


def rung_table(score: TrialScore, far: float, title: str) -> Table:
    """All rungs that were measured, in ladder order; the strongest attack is bold."""
    table = Table(title=f"{escape(title)}, TAR at FAR {far:g}", title_justify="left")
    for heading in HEADINGS:
        left = heading in HEADINGS[:4]
        table.add_column(escape(heading), justify="left" if left else "right", no_wrap=not left)
    strongest = strongest_rung(score) if score.valid else None
    for rung in ladder_order(score.rungs):
        table.add_row(*map(escape, rung_cells(rung)), style="bold" if rung is strongest else "")
    return table


def ladder_order(rungs: Sequence[RungScore]) -> list[RungScore]:
    """Rungs from A0 upwards, the recognizers of one rung together."""
    return sorted(rungs, key=lambda rung: rung.rung)


def rung_cells(rung: RungScore) -> tuple[str, ...]:
    """The row of one rung, in the order of HEADINGS."""
    return (
        rung.rung,
        rung.name,
        rung.recognizer,
        interval(rung.tar),
        f"{rung.eer:.3f}",
        f"{rung.auc:.3f}",
        f"{rung.rank_1:.2f}",
        f"{rung.rank_5:.2f}",
        f"{rung.floor_mean:.3f}",
        str(rung.n_identities),
        f"{rung.n_genuine}/{rung.n_impostor}",
    )


def strongest_rung(score: TrialScore) -> RungScore:
    """The attack whose TAR is the leak of a valid score."""
    return max((rung for rung in score.rungs if rung.rung != CONTROL), key=lambda rung: rung.tar.value)


def naive_tar(score: TrialScore) -> float | None:
    """Largest TAR of the naive look-up over recognizers; None where it was not run."""
    return max((rung.tar.value for rung in score.rungs if rung.rung == NAIVE), default=None)


def verdict(score: TrialScore, far: float) -> str:
    """What a valid score means, in plain words."""
    strongest, leak = strongest_rung(score), score.objectives["leak"]
    assert score.leak_floor_mean is not None and score.leak_floor_95 is not None
    sentences = [
        f"With the images this tool publishes, the strongest attacker ({strongest.rung} {strongest.name}, "
        f"{strongest.recognizer}) links {percent(leak.value)} (95 % interval {percent(leak.low)} to "
        f"{percent(leak.high)}) of the pairs of images of one person at {false_accepts(far)}; guessing links "
        f"{percent(score.leak_floor_mean)}."
    ]
    if leak.low <= score.leak_floor_95:
        sentences.append(
            f"That cannot be told apart from guessing, which reaches {percent(score.leak_floor_95)} in one draw of "
            "twenty: these attackers did not recognize these people, which does not prove that nobody can."
        )
    naive = naive_tar(score)
    if naive is not None and strongest.rung == NAIVE:
        sentences.append("The naive look-up is already the strongest attack.")
    elif naive is not None:
        sentences.append(f"The naive look-up alone would have suggested {percent(naive)}.")
    return " ".join(sentences)


_BETTER = {"minimize": "lower", "maximize": "higher"}


def objective_lines(score: TrialScore) -> list[str]:
    """The other objectives of a valid score, one line each."""
    lines = []
    if score.recovery_gap is not None:
        lines.append(
            f"recovery gap {interval(score.recovery_gap)}: what attackers that learn from anonymized images find "
            "beyond those that do not"
        )
    lines += [
        f"{name} {interval(value)}: {OBJECTIVES[name].unit}, {_BETTER[OBJECTIVES[name].direction]} is better"
        for name, value in score.objectives.items()
        if name != "leak"
    ]
    lines += [
        f"linkability D_sys {interval(reading.linkability.d_sys)} by {name}: 0 is unlinkable; with so few scores "
        f"chance reaches {reading.linkability.floor_95:.2f}"
        for name, reading in score.recognizers.items()
        if reading.linkability is not None
    ]
    lines += [f"labelled expressions, {name}: {summary}" for name, summary in score.labelled_summaries.items()]
    lines += [
        f"{name}, inside the loss, matches {percent(reading.naive_tar)} by the naive look-up: it judges its own work "
        "and is not counted"
        for name, reading in score.proxy.items()
    ]
    return lines


def cautions(score: TrialScore) -> list[str]:
    """What limits the meaning of a score, one sentence each."""
    found = []
    people = max((rung.n_identities for rung in score.rungs), default=0)
    if 0 < people < FEW_PEOPLE:
        found.append(f"Only {people} people were attacked: read the intervals, not the values.")
    silent = [f"{rung.name} ({rung.recognizer})" for rung in score.rungs if rung.tar.value == 0.0]
    if silent:
        found.append(
            f"No pair was linked by {', '.join(silent)}; with {people} people, a rate of up to "
            f"{percent(rule_of_three(people))} would often look like that (rule of three)."
        )
    if score.undetected:
        found.append(f"{score.undetected} images show no face that the detector finds, and are not scored.")
    if score.detection is not None and score.detection.anonymized < score.detection.clear:
        found.append(
            f"The detector finds a face in {percent(score.detection.anonymized)} of the anonymized crops, against "
            f"{percent(score.detection.clear)} of the originals. Attackers were given all crops, cut out where the "
            "faces lie in the originals: a face that a detector misses is not hidden."
        )
    if score.realism is not None and score.realism.psnr is None:
        found.append("The anonymized faces equal the originals, pixel by pixel.")
    if score.expression is not None and score.expression.collapsed:
        found.append("One expression stands for everything: utility is that of a constant face.")
    return found


def interval(estimate: Estimate) -> str:
    """Value and 95 % interval as "0.81 [0.71, 0.90]"."""
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def percent(share: float) -> str:
    """A share in words, finer where it is small.

    >>> percent(0.934), percent(0.0104), percent(0.0), percent(1.0)
    ('93 %', '1.0 %', '0 %', '100 %')
    """
    digits = 1 if 0 < share < 0.095 else 0
    return f"{100 * share:.{digits}f} %"


def false_accepts(far: float) -> str:
    """A false accept rate in words.

    >>> false_accepts(0.01), false_accepts(0.015)
    ('1 false accept in 100', 'a false accept rate of 1.5 %')
    """
    odds = 1 / far
    if abs(odds - round(odds)) < 1e-6 * odds:
        return f"1 false accept in {round(odds)}"
    return f"a false accept rate of {100 * far:g} %"
