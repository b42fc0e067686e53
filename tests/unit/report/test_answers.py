"""`veil report` on study folders of every kind, with people whose scores are known."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from scored_study import add_trial, make_study

from veil.errors import ConfigError
from veil.interfaces import Question
from veil.records import TrialRecord
from veil.registry import search_spaces
from veil.report.answers import print_answers, study_sections
from veil.study import StudyFolder


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


def report(folder: StudyFolder, **options: Any) -> tuple[str, dict[str, Any]]:
    """What is printed, and the JSON."""
    console = Console(file=io.StringIO(), width=240)
    json_file = folder.path / "report.json"
    config = folder.config()
    sections = study_sections(config, folder, "anonymizers", options.get("family", "gan"))
    print_answers(config, folder, sections, console, json_file)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue(), json.loads(json_file.read_text())


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
    printed, values = report(folder)
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
    printed, values = report(folder)
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
    assert "warning: all saw" in " ".join(printed.split())


def test_the_proposed_family_is_compared_with_every_other_trial(tmp_path: Path) -> None:
    folder = make_study(tmp_path, "toy_families")
    points = {
        "blur": ("classical", 0.5, 0.4), "blackout": ("classical", 0.01, 0.3), "good": ("k-Same", 0.5, 0.9),
        "ours": ("gan", 0.4, 0.7), "ours, private": ("gan", 0.2, 0.5),
    }  # fmt: skip
    for number, (label, (family, leak, utility)) in enumerate(points.items()):
        add_trial(folder, number, {"leak": leak, "utility": utility}, label=label, family=family)
    printed, values = report(folder)
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


def test_one_family_alone_is_compared_with_nothing(tmp_path: Path) -> None:
    folder = make_study(tmp_path, "toy_families")
    add_trial(folder, 0, {"leak": 0.4, "utility": 0.7}, family="gan")
    printed, values = report(folder)
    assert values["sections"] == [] and "nothing is compared" in printed


def test_a_study_without_scores_has_nothing_to_report(tmp_path: Path) -> None:
    folder = make_study(tmp_path, "toy_families")
    with pytest.raises(ConfigError, match="veil resume s"):
        report(folder)
