"""Tags of trials' runs: what a page filters by, and what it says at a glance."""

from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from veil.records import TrialRecord


def own_conditions(record: TrialRecord) -> dict[str, str]:
    """Tags of a trial that was judged under other conditions than its study's: a suite, or crops, of its own."""
    if record.score is None or record.compares == "anonymizers":
        return {}
    if record.compares == "attackers":
        return {"veil.suite_hash": record.score.suite_hash}
    return {
        "veil.detector": str(record.detector),
        "veil.data_hash": record.score.data_hash,
        "veil.contract_hash": record.score.contract_hash,
    }


def trial_tags(record: TrialRecord) -> dict[str, str]:
    """How a trial ended, on what it was trained, and a line about it for the page of its run."""
    tags = {
        "veil.family": record.family,
        "veil.state": record.state,
        "veil.label": record.label,
        "veil.synthetic": str(record.synthetic).lower(),
        **own_conditions(record),
    }
    if record.training_faces:
        tags["veil.training_faces"] = ", ".join(f"{count} {kind}" for kind, count in record.training_faces.items())
    if record.reason is not None:
        tags["veil.reason"] = record.reason[:4000]
        tags[MLFLOW_RUN_NOTE] = f"**{record.state}**: {record.reason}"
    if record.score is not None and record.score.strongest is not None:
        tags["veil.strongest_attacker"] = record.score.strongest
    if record.state == "valid":
        tags[MLFLOW_RUN_NOTE] = _note(record)
    return tags


def _note(record: TrialRecord) -> str:
    """What a valid trial came to, in a line."""
    by = f" by the attack {record.score.strongest}" if record.score is not None and record.score.strongest else ""
    parts = [
        f"**{name} {item.value:.2f}** [{item.low:.2f}, {item.high:.2f}]{by if name == 'leak' else ''}"
        for name, item in record.objectives.items()
    ]
    return ", ".join(parts) + ". Below this run lies one run for each attacker."
