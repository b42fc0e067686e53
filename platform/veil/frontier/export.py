"""A frontier as data for other programs: one JSON object, or one CSV line a trial."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from veil.frontier.overview import Overview
from veil.frontier.points import FrontierPoint, Interval
from veil.frontier.table import group_names


def frontier_json(overview: Overview) -> str:
    """All that is known of a frontier: objectives, hypervolume and its history, groups of ties, importance, trials."""
    values = {
        "study": overview.study,
        "objectives": [
            {"name": item.name, "direction": item.direction, "unit": item.unit, "reference": item.reference}
            for item in overview.objectives
        ],
        "hypervolume": overview.volume._asdict() | {"history": overview.history},
        "tie_groups": overview.groups,
        "importance": [item._asdict() for item in overview.importance],
        "trials": _trials(overview),
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def frontier_csv(overview: Overview) -> str:
    """The trials of `frontier_json`, one a line; nested names are joined by a dot, and what a trial lacks is empty."""
    lines = [_flat(trial) for trial in _trials(overview)]
    columns = list(dict.fromkeys(name for line in lines for name in line))
    # Columns of one kind stand together although not every trial has all of them.
    kinds = list(dict.fromkeys(name.split(".")[0] for name in columns))
    columns.sort(key=lambda name: kinds.index(name.split(".")[0]))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _trials(overview: Overview) -> list[dict[str, Any]]:
    names = group_names(overview.groups)
    trials = [_trial(point, standing, names.get(point.trial)) for point, standing in overview.rows]
    return trials + [
        _trial(point, "stopped" if point.stopped else "invalid", None) for point in overview.points if not point.valid
    ]


def _trial(point: FrontierPoint, standing: str, group: str | None) -> dict[str, Any]:
    return {
        "trial": point.trial,
        "standing": standing,
        "tie_group": group,
        "label": point.label,
        "family": point.family,
        "method": point.trainable,
        "conditioning": point.conditioning,
        "synthetic": point.synthetic,
        "objectives": {name: Interval(*interval)._asdict() for name, interval in point.objectives.items()},
        "strongest_attack": point.strongest,
        "extras": dict(point.extras),
        "settings": dict(point.sampled),
        "reason": point.reason,
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
