"""The frontier of a study that runs: filters, exports and importance, read beside a process that writes."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import create_trial
from study_helpers import call_veil

from veil.config import StudyConfig
from veil.errors import ConfigError, DataError
from veil.overview import Overview, study_overview
from veil.protocol.measurement import Spread
from veil.protocol.score import Estimate
from veil.records import Manifest, TrialRecord
from veil.study import StudyFolder
from veil.trial_log import open_journal

MANIFEST = Manifest(
    space="smoke", base_hash="b", suite_hash="a", data_hash="d", contract_hash="c", objectives=("leak", "utility")
)
N_PEOPLE, N_GAN, N_BLUR = 12, 12, 3
SEES = ("pixels", "landmarks")

# Only the standard library, so that it starts while the reader reads. It publishes copies of a record and appends to
# the study's journal, each line in two halves.
WRITER = r"""
import json, os, pathlib, sys
study, first, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
record = json.loads((study / "trials" / "00000" / "record.json").read_text())
spreads = (study / "trials" / "00000" / "spreads.npz").read_bytes()
journal = open(study / "optuna.log", "ab", buffering=0)
print("ready", flush=True)
for number in range(first, first + count):
    folder = study / "trials" / f"{number:05d}"
    folder.mkdir()
    (folder / "spreads.npz").write_bytes(spreads)
    (folder / "new").write_text(json.dumps(record | {"number": number}))
    os.replace(folder / "new", folder / "record.json")
    line = json.dumps({"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"n": number}}).encode()
    journal.write(line[:20])
    journal.write(line[20:] + b"\n")
print("done", flush=True)
"""


def add_trial(folder: StudyFolder, number: int, family: str, seed: np.random.Generator) -> optuna.trial.FrozenTrial:
    """A trial whose leak follows its weight and whose utility follows what it sees, with noise on every person."""
    weight, sees = seed.uniform(0.1, 0.9), SEES[number % 2]
    per_person = {
        "leak": (1 - weight) * np.ones(N_PEOPLE) + 0.02 * seed.normal(size=N_PEOPLE),
        "utility": (0.3 if sees == "pixels" else 0.8) + 0.02 * seed.normal(size=N_PEOPLE),
    }
    values = {name: float(of.mean()) for name, of in per_person.items()}
    people = np.random.default_rng(1).integers(0, N_PEOPLE, (50, N_PEOPLE))
    sampled = {"weight": weight, "sees": sees} if family == "gan" else {}
    folder.trial(number).mkdir(parents=True)
    folder.write_spreads(
        number,
        {name: Spread((of.sum() - of) / (N_PEOPLE - 1), of[people].mean(axis=1)) for name, of in per_person.items()},
    )
    folder.write_record(
        TrialRecord(
            number=number, state="valid", trainable="gan_anonymizer" if family == "gan" else "baseline", family=family,
            label=f"{family} {number}", params={"conditioning": sees} if family == "gan" else {}, sampled=sampled,
            objectives={name: Estimate(value=value, low=value, high=value) for name, value in values.items()},
        )
    )  # fmt: skip
    return create_trial(
        params=sampled,
        distributions={"weight": FloatDistribution(0, 1), "sees": CategoricalDistribution(SEES)} if sampled else {},
        values=list(values.values()),
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    config = StudyConfig(study="toy", root=tmp_path_factory.mktemp("finished"))
    folder, seed = StudyFolder(config.folder), np.random.default_rng(0)
    folder.create(config, MANIFEST)
    study = optuna.create_study(
        storage=open_journal(folder.optuna_path), study_name="toy", directions=["minimize", "maximize"]
    )
    study.add_trials([add_trial(folder, number, "gan", seed) for number in range(N_GAN)])
    study.add_trials([add_trial(folder, N_GAN + number, "classical", seed) for number in range(N_BLUR)])
    folder.write_record(
        TrialRecord(number=N_GAN + N_BLUR, state="failed", trainable="baseline", family="classical", label="worse",
                    reason="its process died")
    )  # fmt: skip
    return folder


@pytest.fixture
def folder(finished: StudyFolder, tmp_path: Path) -> StudyFolder:
    """A copy for one test: the schema of a database takes long to make."""
    return StudyFolder(Path(shutil.copytree(finished.path, tmp_path / "studies" / "toy")))


def look(folder: StudyFolder, *filters: tuple[str, ...]) -> Overview:
    return study_overview(folder.config(), folder, *filters)


def test_settings_that_decide_an_objective_explain_it(folder: StudyFolder) -> None:
    found = look(folder)
    (importance,) = found.importance
    assert (importance.method, importance.trials) == ("gan_anonymizer", N_GAN)
    assert importance.shares["leak"]["weight"] > 0.7 and importance.shares["utility"]["sees"] > 0.7
    assert sum(importance.shares["leak"].values()) == pytest.approx(1.0)
    assert len(found.points) == len(found.history) == N_GAN + N_BLUR + 1
    assert found.history[-1] == pytest.approx(found.volume.value) and found.volume.low < found.volume.high


def test_filters_make_a_frontier_of_their_own(folder: StudyFolder) -> None:
    blurred = look(folder, ("classical",))
    assert {point.family for point in blurred.points} == {"classical"} and len(blurred.points) == N_BLUR + 1
    assert blurred.rows[0][1] == "frontier" and blurred.importance == []
    seen = look(folder, (), ("landmarks", "none"))
    assert {point.conditioning for point in seen.points} == {"landmarks", None}
    assert len(look(folder, ("gan",), ("pixels",)).points) == N_GAN // 2
    with pytest.raises(ConfigError, match="--family 'gam': .*did you mean 'gan'. known: classical, gan"):
        look(folder, ("gan", "gam"))
    with pytest.raises(ConfigError, match="--conditioning 'pixel': .*known: landmarks, none, pixels"):
        look(folder, (), ("pixel",))


def test_data_goes_to_standard_output_alone_or_to_files(folder: StudyFolder, tmp_path: Path) -> None:
    root = ("--root", str(folder.path.parent))
    printed = call_veil("frontier", "toy", *root, "--json", "-")
    found = json.loads(printed.stdout)
    assert [trial["standing"] for trial in found["trials"]].count("frontier") >= 1
    assert found["trials"][-1]["standing"] == "invalid" and found["trials"][-1]["reason"] == "its process died"
    assert not folder.page_path.exists(), "data that is piped writes nothing"
    assert set(found["importance"][0]["shares"]) == {"leak", "utility"}
    assert len(found["hypervolume"]["history"]) == N_GAN + N_BLUR + 1

    lines = list(csv.DictReader(io.StringIO(call_veil("frontier", "toy", *root, "--csv", "-", "-q").stdout)))
    assert [int(line["trial"]) for line in lines] == [trial["trial"] for trial in found["trials"]]
    gan = next(line for line in lines if line["family"] == "gan")
    known = folder.record(int(gan["trial"]))
    assert known is not None
    assert float(gan["objectives.leak.value"]) == known.objectives["leak"].value
    assert float(gan["settings.weight"]) == known.sampled["weight"]
    assert next(line for line in lines if line["family"] == "classical")["settings.weight"] == ""

    out = tmp_path / "out"
    written = call_veil("frontier", "toy", *root, "--json", str(out / "a.json"), "--csv", str(out / "a.csv"))
    assert written.returncode == 0 and "hypervolume" in written.stdout
    assert json.loads((out / "a.json").read_text())["trials"] == found["trials"]
    page = folder.page_path.read_text(encoding="utf-8")
    assert "What each setting explains" in page and "parallel-1" in page
    both = call_veil("frontier", "toy", *root, "--json", "-", "--csv", "-")
    assert both.returncode == 2 and "standard output" in both.stderr


def test_a_study_is_read_while_another_process_writes_it(folder: StudyFolder) -> None:
    added = 150
    command = [sys.executable, "-c", WRITER, str(folder.path), str(N_GAN + N_BLUR + 1), str(added)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
        counts = [len(look(folder, ("gan",)).points)]
        while writer.poll() is None:
            counts.append(len(look(folder, ("gan",)).points))
        assert writer.stdout.read() == "done\n", "a reader must never keep the writer from its journal"
    counts.append(len(look(folder, ("gan",)).points))
    assert counts == sorted(counts) and counts[-1] == N_GAN + added


def test_reading_changes_no_journal_and_waits_for_no_writer(folder: StudyFolder) -> None:
    lock = folder.path / "optuna.log.lock"
    lock.symlink_to(folder.optuna_path)  # as a driver holds it while it writes
    with folder.optuna_path.open("ab") as half_written:
        half_written.write(b'{"op_code": 4, "wor')
    before = folder.optuna_path.read_bytes()
    assert len(look(folder).importance) == 1
    assert folder.optuna_path.read_bytes() == before and lock.is_symlink()


def test_a_damaged_journal_is_one_clear_error(folder: StudyFolder) -> None:
    folder.optuna_path.write_bytes(b"no journal\n" * 1000)
    with pytest.raises(DataError, match="cannot read the study's journal .*optuna.log"):
        look(folder)
