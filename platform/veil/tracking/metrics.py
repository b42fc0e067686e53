"""Score cards as metrics by key: keys read like paths, and values are plain numbers."""

from veil.protocol.score import RungScore, TrialScore
from veil.study import TrialRecord


def trial_metrics(record: TrialRecord) -> dict[str, float]:
    """Objectives with intervals, rungs, utility and realism details, times and memory of one trial.

    A trial that is not valid has no `objective/` key: what was measured of it stays visible, but nothing ranks it.
    """
    metrics: dict[str, float] = {"memory/peak_bytes": float(record.peak_memory_bytes)}
    for name, estimate in record.objectives.items():
        metrics[f"objective/{name}"] = estimate.value
        metrics[f"objective/{name}_low"] = estimate.low
        metrics[f"objective/{name}_high"] = estimate.high
    metrics |= {f"seconds/{part}": seconds for part, seconds in record.seconds.items()}
    return metrics | (_score_metrics(record.score) if record.score is not None else {})


def _score_metrics(score: TrialScore) -> dict[str, float]:
    metrics: dict[str, float | None] = {
        "floor/leak_mean": score.leak_floor_mean,
        "floor/leak_95": score.leak_floor_95,
        "detection_rate": score.detection_rate,
    }
    several = len({rung.recognizer for rung in score.rungs}) > 1
    for rung in score.rungs:
        path = f"attack/{rung.recognizer}/{rung.name}" if several else f"attack/{rung.name}"
        metrics |= {f"{path}/{key}": value for key, value in rung_metrics(rung).items()}
    for name, value in score.cosine.items():
        metrics[f"cosine/{name}"] = value
    for name, value in score.deployed.items():
        metrics[f"deployed/{name}"] = value
    for name, reading in score.proxy.items():
        metrics[f"proxy/{name}/cosine"] = reading.cosine
        metrics[f"proxy/{name}/naive_tar"] = reading.naive_tar
    if score.expression is not None:
        details = score.expression.model_dump()
        metrics |= {f"utility/{key}": float(value) for key, value in details.items()}
    if score.realism is not None:
        metrics |= {"realism/ssim": score.realism.ssim, "realism/psnr": score.realism.psnr}
    return {key: value for key, value in metrics.items() if value is not None}


def rung_metrics(rung: RungScore) -> dict[str, float]:
    """One attacker: TAR at the suite's FAR with its interval, EER, AUC, rank-1 and rank-5, counts and chance floor."""
    return {
        "tar": rung.tar.value,
        "tar_low": rung.tar.low,
        "tar_high": rung.tar.high,
        "eer": rung.eer,
        "auc": rung.auc,
        "rank_1": rung.rank_1,
        "rank_5": rung.rank_5,
        "n_genuine": float(rung.n_genuine),
        "n_impostor": float(rung.n_impostor),
        "floor_mean": rung.floor_mean,
        "floor_95": rung.floor_95,
    } | {f"diagnostics/{key}": value for key, value in rung.diagnostics.items()}
