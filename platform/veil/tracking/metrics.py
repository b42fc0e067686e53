"""Score cards as metrics by key: keys read like paths, and values are plain numbers."""

import statistics
from collections.abc import Sequence

from veil.config import Settings
from veil.protocol.score import PersonScore, RungScore, TrialScore
from veil.records import EarlyScore, TrialRecord


def trial_metrics(record: TrialRecord) -> dict[str, float]:
    """Objectives with intervals, rungs, utility and realism details, training faces, times and memory of one trial.

    A trial that is not valid has no `objective/` key: what was measured of it stays visible, but nothing ranks it.
    """
    metrics: dict[str, float] = {"memory/peak_bytes": float(record.peak_memory_bytes)}
    for name, estimate in record.objectives.items():
        metrics[f"objective/{name}"] = estimate.value
        metrics[f"objective/{name}_low"] = estimate.low
        metrics[f"objective/{name}_high"] = estimate.high
    metrics |= {f"seconds/{part}": seconds for part, seconds in record.seconds.items()}
    metrics |= {f"training_faces/{kind}": float(count) for kind, count in record.training_faces.items()}
    return metrics | (_score_metrics(record.score) if record.score is not None else {})


def early_metrics(score: EarlyScore) -> dict[str, float]:
    """What a trial was worth at one rung of early stopping, and its place there; nothing where it was not judged."""
    metrics = {f"rung/{name}": estimate.value for name, estimate in score.objectives.items()}
    place = {"rung/rank": score.rank, "rung/of": score.of}
    return metrics | {key: float(value) for key, value in place.items() if value is not None}


def _score_metrics(score: TrialScore) -> dict[str, float]:
    metrics: dict[str, float | None] = {
        "floor/leak_mean": score.leak_floor_mean,
        "floor/leak_95": score.leak_floor_95,
        "recovery_gap": score.recovery_gap.value if score.recovery_gap else None,
        "recovery_gap_low": score.recovery_gap.low if score.recovery_gap else None,
        "recovery_gap_high": score.recovery_gap.high if score.recovery_gap else None,
        "images/attacked": score.n_images,
        "images/undetected": score.undetected,
        "images/without_landmarks": score.without_landmarks,
        "images/low_resolution": score.low_resolution,
    }
    for rung in score.rungs:
        metrics |= {f"{rung_path(score, rung)}/{key}": value for key, value in rung_metrics(rung).items()}
    metrics |= _people_metrics(score.people)
    sections: dict[str, Settings | None] = {
        "utility": score.expression,
        "realism": score.realism,
        "detection": score.detection,
        **{f"labelled/{name}": labelled for name, labelled in score.labelled_sets.items()},
        **{f"recognizer/{name}": reading for name, reading in score.recognizers.items()},
        **{f"proxy/{name}": reading for name, reading in score.proxy.items()},
    }
    for path, section in sections.items():
        if section is not None:
            metrics |= {f"{path}/{key}": value for key, value in _numbers(section).items()}
    return {key: value for key, value in metrics.items() if value is not None}


def rung_path(score: TrialScore, rung: RungScore) -> str:
    """What the keys of a rung begin with: its recognizer is named where there are several."""
    several = len({rung.recognizer for rung in score.rungs}) > 1
    return f"attack/{rung.recognizer}/{rung.name}" if several else f"attack/{rung.name}"


def _people_metrics(people: Sequence[PersonScore]) -> dict[str, float]:
    """The extremes over people and their middle: nobody is told from anybody by them."""
    values = {
        "tar": [person.tar for person in people if person.tar is not None],
        "utility": [person.utility for person in people],
    }
    return {
        f"people/{name}_{which}": pick(found)
        for name, found in values.items()
        for which, pick in (("least", min), ("median", statistics.median), ("most", max))
        if found
    }


def rung_metrics(rung: RungScore) -> dict[str, float]:
    """One attacker: TAR at the suite's FAR with its interval, EER, AUC, ranks, counts, chance floor, diagnostics."""
    return _numbers(rung)


def _numbers(section: Settings) -> dict[str, float]:
    """Numeric leaves; an estimate `tar` gives `tar`, `tar_low` and `tar_high`."""
    named = {
        path.removesuffix(".value").replace(".low", "_low").replace(".high", "_high").replace(".", "/"): value
        for path, value in section.flatten().items()
    }
    return {path: float(value) for path, value in named.items() if isinstance(value, int | float)}
