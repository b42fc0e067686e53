"""The saved view of a study's trials, read back as MLflow's pages read it."""

import base64
import json
import zlib
from typing import Any

from veil.records import TrialRecord
from veil.tracking.views import saved_view, varying_settings


def trial(number: int, trainable: str = "gan_anonymizer", **params: Any) -> TrialRecord:
    return TrialRecord(
        number=number, state="failed", reason="x", trainable=trainable, family="gan", label="x", params=params,
        seconds={"train": 1.0},
    )  # fmt: skip


RECORDS = [
    trial(0, weights={"id": 1.0, "rec": 10.0}, seed=1, conditioning="pixels"),
    trial(1, weights={"id": 0.1, "rec": 10.0}, seed=2, conditioning="landmarks"),
    trial(2, trainable="baseline", method="blur"),
]


def state_of(value: str) -> dict[str, Any]:
    """What the pages unpack: an envelope with a name, times, and a deflated state."""
    envelope = json.loads(value)
    assert isinstance(envelope["name"], str) and isinstance(envelope["createdAt"], int)
    packed = envelope["state"]
    assert packed.startswith("deflate;")
    return json.loads(zlib.decompress(base64.b64decode(packed.removeprefix("deflate;"))))


def test_it_shows_trials_alone_with_their_trade_off_settings_and_faces() -> None:
    tag, value = saved_view(RECORDS, ("leak", "utility"))
    assert tag == "mlflow.sharedViewState.trials" and len(value) < 5000
    state = state_of(value)
    assert state["searchFilter"] == "tags.`veil.kind` = 'trial'"
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`objective/leak`", True)
    charts = {chart["uuid"]: chart for chart in state["compareRunCharts"]}
    assert [charts["scatter"][axis]["key"] for axis in ("xaxis", "yaxis")] == ["objective/leak", "objective/utility"]
    assert charts["settings"]["selectedParams"] == ["weights.id", "conditioning"]
    assert charts["faces"]["imageKeys"] == ["faces"]
    sections = {section["uuid"]: section["display"] for section in state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in charts.values()} <= {
        name for name, shown in sections.items() if shown
    }
    assert sections["seconds"] is False, "what is not compared every day is folded"


def test_before_the_first_trial_and_with_one_objective() -> None:
    charts = state_of(saved_view([], ("leak",))[1])["compareRunCharts"]
    assert [chart["type"] for chart in charts] == ["IMAGE"]


def test_seeds_and_other_methods_are_no_settings_that_vary() -> None:
    assert varying_settings(RECORDS) == ["weights.id", "conditioning"]
    assert varying_settings([]) == []
