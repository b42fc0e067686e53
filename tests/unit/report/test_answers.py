"""`veil report` on study folders of every kind, with people whose scores are known."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from veil.config import StudyConfig
from veil.errors import ConfigError
from veil.interfaces import Question
from veil.protocol.measurement import Spread
from veil.protocol.score import Estimate, TrialScore
from veil.registry import search_spaces
from veil.report.answers import report_study
from veil.study import Manifest, StudyFolder, TrialRecord

PEOPLE = 10


class ToyAblations:
    """Two variants beside the full method, which need no trainable here."""

    trainables = ("baseline",)
    questions = tuple(
        Question(f"removing {part}", {"variant": "full"}, {"variant": f"without {part}"}) for part in ("A", "B", "C")
    )


class ToyFronts:
    """Two ways to a frontier."""

    trainables = ("baseline",)
    questions = (Question("one training for all", {"kind": "each"}, {"kind": "all"}, of="frontiers"),)


class ToyFamilies:
    """Nothing is asked."""

    trainables = ("baseline",)


@pytest.fixture(autouse=True)
def _toy_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registered for one test each: every registered space must fit its trainables."""
    for name, space in {"toy_ablations": ToyAblations, "toy_fronts": ToyFronts, "toy_families": ToyFamilies}.items():
        monkeypatch.setitem(search_spaces._plugins, name, space)


def add_trial(folder: StudyFolder, number: int, means: Mapping[str, float], **values: Any) -> None:
    """A valid trial in which every person scores near the mean, the same people hard in every trial."""
    rng = np.random.default_rng(0)
    hard, own = rng.normal(0, 0.05, PEOPLE), np.random.default_rng(number + 1).normal(0, 0.01, PEOPLE)
    draws = rng.multinomial(PEOPLE, np.full(PEOPLE, 1 / PEOPLE), size=200) / PEOPLE
    estimates, spreads = {}, {}
    for name, mean in means.items():
        scores = np.clip(mean + (hard + own) - (hard + own).mean(), 0, 1)
        value = float(scores.mean())
        estimates[name] = Estimate(value=value, low=max(0.0, value - 0.1), high=min(1.0, value + 0.1))
        spreads[name] = Spread((scores.sum() - scores) / (PEOPLE - 1), draws @ scores)
    score = TrialScore(
        valid=True, objectives=estimates, target_split="search", n_images=100, undetected=0, suite_hash="s",
        data_hash="d", contract_hash="c",
    )  # fmt: skip
    record = {"trainable": "baseline", "family": "classical", "label": f"trial {number}", **values}
    folder.write_record(TrialRecord(number=number, state="valid", objectives=estimates, score=score, **record))
    folder.write_spreads(number, spreads)


def make_study(root: Path, space: str) -> StudyFolder:
    config = StudyConfig.parse({"study": "s", "root": str(root), "search": {"space": space}}, "test")
    folder = StudyFolder(config.folder)
    manifest = Manifest(
        space=space, base_hash="b", suite_hash="s", data_hash="d", contract_hash="c", objectives=("leak", "utility")
    )
    folder.create(config, manifest)
    return folder


def report(folder: StudyFolder, **options: Any) -> tuple[str, dict[str, Any], str]:
    """What is printed, the JSON, and the page."""
    console = Console(file=io.StringIO(), width=240)
    json_file = folder.path / "report.json"
    page = report_study(folder, options.get("family", "gan"), console, json_file)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue(), json.loads(json_file.read_text()), page.read_text(encoding="utf-8")


def test_ablations_are_answered_a_sentence_each(tmp_path: Path) -> None:
    folder = make_study(tmp_path, "toy_ablations")
    utilities = {"full": 0.7, "without A": 0.5, "without B": 0.7}
    number = 0
    for seed in range(3):
        for variant, utility in utilities.items():
            means = {"leak": 0.3, "utility": utility + 0.01 * seed}
            add_trial(folder, number, means, sampled={"variant": variant, "training_seed": seed})
            number += 1
    lost = {"variant": "without C", "training_seed": 0}
    folder.write_record(
        TrialRecord(
            number=number,
            state="diverged",
            trainable="baseline",
            family="classical",
            label="c",
            sampled=lost,
            reason="loss/g was nan",
        )
    )
    printed, values, page = report(folder)
    (section,) = values["sections"]
    costs, nothing, unanswered = section["sentences"]
    assert costs.startswith("removing A costs 0.20 [0.1") and "utility at equal leak" in costs
    assert nothing.startswith("removing B changes nothing that can be told apart")
    assert "with 10 people and 3 trainings" in nothing
    assert unanswered == "removing C: open, for no trial of 'without C' is valid"
    reference, without_a, _ = section["rows"]
    assert reference["trials"] == [0, 3, 6] and reference["differences"] == {}
    assert reference["deviations"]["utility"] == pytest.approx(0.01, abs=1e-6)
    assert without_a["differences"]["utility"]["value"] == pytest.approx(-0.2)
    assert without_a["p_values"]["utility"] < 0.001
    for text in (costs, nothing, "loss/g was nan"):
        assert text in printed.replace("\n", " ") or text in " ".join(printed.split())
        assert text in page
    assert values["invalid"] == {"trial 9, c": "loss/g was nan"}


def test_frontiers_are_compared_at_equal_points_and_compute(tmp_path: Path) -> None:
    folder = make_study(tmp_path, "toy_fronts")
    for index, leak in enumerate((0.2, 0.4, 0.6, 0.8)):
        better = {"leak": leak, "utility": 0.3 + leak / 2}
        images = {"warm_start-x": 500, "loss_conditional-y": 3000}
        add_trial(folder, index, better, sampled={"kind": "all", "λ": index}, trainings=images)
        if index % 2 == 0:
            worse = {"leak": leak, "utility": 0.1 + leak / 2}
            images = {"warm_start-x": 500, f"trial-{index}": 1000}
            add_trial(folder, 10 + index, worse, sampled={"kind": "each", "λ": index}, trainings=images)
    _, values, page = report(folder)
    (section,) = values["sections"]
    sentence, warning = section["sentences"]
    assert sentence.startswith("one training for all changes hypervolume by +0.")
    assert "2 points each at unequal compute (3,000 against 2,000 images)" in sentence
    assert warning.startswith("warning: all saw 3,000 images in training and each 2,000")
    all_points, equal_points = section["rows"][1], section["rows"][3]
    assert len(all_points["trials"]) == 4 and "(and 500 in warm starts and shared)" in all_points["beside"]
    assert equal_points["values"]["hypervolume"]["value"] < all_points["values"]["hypervolume"]["value"]
    for row in (all_points, equal_points):
        difference = row["differences"]["hypervolume"]
        assert 0 < difference["low"] <= difference["value"] <= difference["high"]
    assert "warning: all saw" in page


def test_the_proposed_family_is_compared_with_every_other_trial(tmp_path: Path) -> None:
    folder = make_study(tmp_path, "toy_families")
    points = {
        "blur": ("classical", 0.5, 0.4), "blackout": ("classical", 0.01, 0.3), "good": ("k-Same", 0.5, 0.9),
        "ours": ("gan", 0.4, 0.7), "ours, private": ("gan", 0.2, 0.5),
    }  # fmt: skip
    for number, (label, (family, leak, utility)) in enumerate(points.items()):
        add_trial(folder, number, {"leak": leak, "utility": utility}, label=label, family=family)
    printed, values, _ = report(folder)
    (section,) = values["sections"]
    rows = {row["name"].split(" (")[0]: row for row in section["rows"]}
    assert rows["blur"]["beside"] == "trial 3, ours"
    assert rows["blur"]["differences"]["utility"]["value"] == pytest.approx(0.3)
    assert rows["blur"]["differences"]["leak"]["value"] == pytest.approx(-0.1)
    assert rows["blackout"]["differences"] == {} and rows["blackout"]["beside"] == "no gan leaks so little"
    assert section["sentences"][0].startswith("gan dominates 1 of 3")
    assert any(sentence.startswith("good (k-Same, trial 2) is not dominated") for sentence in section["sentences"])
    assert "chosen on the same people" in " ".join(printed.split())
    with pytest.raises(ConfigError, match="expected 'nobody' and others"):
        report(folder, family="nobody")


def test_a_study_without_scores_has_nothing_to_report(tmp_path: Path) -> None:
    folder = make_study(tmp_path, "toy_families")
    with pytest.raises(ConfigError, match="veil resume s"):
        report(folder)
