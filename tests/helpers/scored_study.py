"""Study folders whose trials were scored on people whom nobody has to attack: everybody's score is known."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from veil.config import StudyConfig
from veil.protocol.measurement import Spread
from veil.protocol.score import Estimate, PersonScore, RungScore, TrialScore
from veil.records import Manifest, TrialRecord
from veil.study import StudyFolder
from veil.tracking import Tracker

PEOPLE = 10


def make_study(root: Path, space: str) -> StudyFolder:
    """An empty study."""
    config = StudyConfig.parse({"study": "s", "root": str(root), "search": {"space": space}}, "test")
    folder = StudyFolder(config.folder)
    manifest = Manifest(
        space=space, base_hash="b", suite_hash="s", data_hash="d", contract_hash="c", objectives=("leak", "utility")
    )
    folder.create(config, manifest)
    return folder


def add_trial(folder: StudyFolder, number: int, means: Mapping[str, float], **values: Any) -> None:
    """A valid trial in which every person scores near the mean, the same people hard in every trial."""
    rng = np.random.default_rng(0)
    hard, own = rng.normal(0, 0.05, PEOPLE), np.random.default_rng(number + 1).normal(0, 0.01, PEOPLE)
    draws = rng.multinomial(PEOPLE, np.full(PEOPLE, 1 / PEOPLE), size=200) / PEOPLE
    estimates, spreads, people = {}, {}, {}
    for name, mean in means.items():
        scores = np.clip(mean + (hard + own) - (hard + own).mean(), 0, 1)
        estimates[name] = around(float(scores.mean()))
        spreads[name] = Spread((scores.sum() - scores) / (PEOPLE - 1), draws @ scores)
        people[name] = scores.tolist()
    score = TrialScore(
        valid=True, objectives=estimates, target_split="search", n_images=100, undetected=0, suite_hash="s",
        data_hash="d", contract_hash="c", strongest="parrot", leak_floor_mean=0.02, leak_floor_95=0.03,
        rungs=(rung("control", "A0", around(0.99)), rung("parrot", "A3", estimates["leak"])),
        people=tuple(map(person, people["leak"], people["utility"])),
    )  # fmt: skip
    record = {"trainable": "baseline", "family": "classical", "label": f"trial {number}", **values}
    folder.write_record(TrialRecord(number=number, state="valid", objectives=estimates, score=score, **record))
    folder.write_spreads(number, spreads)


def mirror(folder: StudyFolder) -> None:
    """Put all trials into the study's own tracking database, as the sweep does."""
    tracker = Tracker(folder.config(), folder.manifest())
    for record in folder.records():
        tracker.log_trial(record, folder)


def around(value: float) -> Estimate:
    """An estimate with an interval of a tenth on both sides."""
    return Estimate(value=value, low=max(0.0, value - 0.1), high=min(1.0, value + 0.1))


def person(tar: float, utility: float) -> PersonScore:
    """One of the people."""
    return PersonScore(tar=tar, utility=utility)


def rung(name: str, level: str, tar: Estimate) -> RungScore:
    """One attack."""
    return RungScore(
        name=name, rung=level, recognizer="sface", tar=tar, eer=0.1, auc=0.9, rank_1=0.8, rank_5=0.9,
        n_identities=PEOPLE, n_genuine=450, n_impostor=4500, floor_mean=0.01, floor_95=0.02,
    )  # fmt: skip
