"""The view with which MLflow's pages open a study: its trials with their scores, as charts and with faces."""

import base64
import json
import time
import zlib
from collections.abc import Sequence
from typing import Any

from veil.config import flatten
from veil.records import TrialRecord
from veil.tracking.metrics import trial_metrics

VIEW = "trials"
TRIALS_ONLY = "tags.`veil.kind` = 'trial'"
FACES = "faces"
"""Key of the image of each trial."""

MOST_RUNS = 100
"""In one chart; MLflow's own default shows ten."""

SEEDS = ("seed", "training_seed")


def saved_view(records: Sequence[TrialRecord], objectives: Sequence[str]) -> tuple[str, str]:
    """Tag of an experiment, and its value, that MLflow 3 lists among the saved views under the name "trials".

    It shows trials without their attackers, the best first objective first, with the columns that compare them; a
    scatter of the first two objectives; parallel coordinates of the settings that vary among the trials of the most
    frequent method, and of all trials over attacks; and the faces. All other metrics lie in folded sections below.

    Args:
        records: trials that have finished so far; may be empty.
        objectives: names, in order.
    """
    charts, sections = _charts(records, objectives)
    state = {
        "searchFilter": TRIALS_ONLY,
        "orderByKey": _column("metrics", f"objective/{objectives[0]}"),
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": _columns(objectives),
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": charts,
        "compareRunSections": sections,
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
    }
    now = int(time.time() * 1000)
    # MLflow's pages read this form, and a database may hold no more than 5000 characters.
    packed = "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    envelope = {"name": VIEW, "createdAt": now, "updatedAt": now, "state": packed}
    return f"mlflow.sharedViewState.{VIEW}", json.dumps(envelope)


def varying_settings(records: Sequence[TrialRecord]) -> list[str]:
    """Settings that differ among the trials of the most frequent method, by the names of their parameters."""
    methods = [record.trainable for record in records]
    if not methods:
        return []
    most = max(sorted(set(methods)), key=methods.count)
    values: dict[str, set[str]] = {}
    for record in records:
        if record.trainable == most:
            for name, value in flatten(record.params).items():
                values.setdefault(name, set()).add(str(value))
    return [name for name, found in values.items() if len(found) > 1 and name not in SEEDS]


def _columns(objectives: Sequence[str]) -> list[str]:
    return [
        *(_column("metrics", f"objective/{name}") for name in objectives),
        *(_column("tags", name) for name in ("veil.family", "veil.strongest_attacker", "veil.state")),
        _column("params", "conditioning"),
    ]


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"


def _charts(records: Sequence[TrialRecord], objectives: Sequence[str]) -> tuple[list[dict[str, Any]], list[dict]]:
    keys = list(dict.fromkeys(key for record in records for key in trial_metrics(record)))
    axes = [f"objective/{name}" for name in objectives]
    attacks = [key for key in keys if key.startswith("attack/") and key.endswith("/tar") and "control" not in key]
    charts = [_chart("faces", "IMAGE", "faces", "Faces", imageKeys=[FACES], step=0, showRunParams=False)]
    if len(axes) > 1:
        x, y = ({"key": axis, "dataAccessKey": axis, "type": "METRIC"} for axis in axes[:2])
        charts.append(_chart("scatter", "SCATTER", "trade-off", " against ".join(objectives[1::-1]), xaxis=x, yaxis=y))
    for name, params, metrics in (
        ("Settings", varying_settings(records), axes),
        ("Attacks", [], [*attacks, *axes]),
    ):
        if len(params) + len(metrics) > len(axes):
            lines = {"selectedParams": params, "selectedMetrics": metrics, "showAllRuns": True}
            charts.append(_chart(name.lower(), "PARALLEL", "trade-off", name, **lines))
    folded = sorted({key.rpartition("/")[0] for key in keys if "/" in key})
    sections = [
        _section("trade-off", "Trade-off", columns=2, cardHeight=400),
        _section("faces", "Faces", columns=1, cardHeight=460),
        *(_section(name, name, display=False) for name in folded),
    ]
    return charts, sections


def _chart(uuid: str, kind: str, section: str, name: str, **fields: Any) -> dict[str, Any]:
    common = {"uuid": uuid, "type": kind, "metricSectionId": section, "displayName": name}
    return common | {"runsCountToCompare": MOST_RUNS, "deleted": False, "isGenerated": False} | fields


def _section(uuid: str, name: str, **fields: Any) -> dict[str, Any]:
    common = {"uuid": uuid, "name": name, "display": True, "isReordered": True, "deleted": False, "isGenerated": False}
    return common | fields
