"""Proves that a registered model needs nothing but its own requirements: loads it in a new virtual environment.

    python tests/benchmarks/new_environment.py MODEL CROPS EXPECTED [--environment FOLDER]

MODEL is the folder of a model that `veil pick --register` made (in MLflow: the artifacts of the model version). CROPS
and EXPECTED are .npy files, uint8 (N, 112, 112, 3): what goes in, and what the trial's own anonymizer makes of it; see
`--make`, which writes both from a study's sealed faces. An environment is made in FOLDER (several GB) unless
there is one already, the model's requirements are installed, and the model is run there without Veil's caches, without
network settings, in an empty folder. Pixels must be equal.

    python tests/benchmarks/new_environment.py --make STUDY TRIAL CROPS EXPECTED
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FORBIDDEN = ("veil-faces", "ray", "optuna", "mlflow")
"""Distributions that a model must do without; `mlflow-skinny` is what loads it."""

RUN = """
import sys, time
import mlflow, numpy as np
started = time.perf_counter()
model = mlflow.pyfunc.load_model(sys.argv[1])
loaded = time.perf_counter()
np.save(sys.argv[3], model.predict(np.load(sys.argv[2])))
import veil
print(f"loaded in {loaded - started:.1f} s, run in {time.perf_counter() - loaded:.1f} s, by {veil.__file__}")
"""


def main() -> None:
    """Make the files, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+")
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--environment", type=Path)
    arguments = parser.parse_args()
    if arguments.make:
        study, trial, crops, expected = arguments.what
        make(Path(study), int(trial), Path(crops), Path(expected))
        return
    model, crops, expected = (Path(path).resolve() for path in arguments.what)
    with tempfile.TemporaryDirectory() as scratch:
        environment = (arguments.environment or Path(scratch) / "environment").resolve()
        found = run_in(new_environment(environment, model), model, crops, Path(scratch))
        compare(found, np.load(expected))


def make(study: Path, trial: int, crops: Path, expected: Path) -> None:
    """Write sealed faces of a study, and what the trial's anonymizer makes of them with landmarks measured anew."""
    from veil.assets import cache_folder
    from veil.faces.landmarks import load_landmarker
    from veil.faces.signals import measure_faces
    from veil.faces.study_faces import StudyFaces
    from veil.faces.table import tensor_to_images
    from veil.preparing.study import prepare_study
    from veil.registry import parsers, trainables
    from veil.study import StudyFolder

    folder = StudyFolder(study)
    config, record = folder.config(), folder.record(trial)
    assert record is not None, f"trial {trial} has not finished"
    faces = StudyFaces.load(config.data, prepare_study(config.data, cache_folder())).people.split("sealed").crops[:]
    trainable = trainables.get(record.trainable)()
    anonymizer = trainable.load(trainable.Config.parse(record.params, where="record"), folder.trial(trial))
    parser = parsers.get(config.data.parsing)() if "parsing" in getattr(anonymizer, "needs", ()) else None
    published = tensor_to_images(anonymizer(measure_faces(faces, load_landmarker(), parser)))
    np.save(crops, faces.transpose(0, 2, 3, 1))
    np.save(expected, published.transpose(0, 2, 3, 1))
    print(f"{len(faces)} faces")


def new_environment(folder: Path, model: Path) -> Path:
    """Make an environment with the model's requirements and nothing else; returns its interpreter."""
    python = folder / "bin" / "python"
    started = time.perf_counter()
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(model / "requirements.txt")], check=True)
    listed = subprocess.run([str(python), "-m", "pip", "list", "--format", "json"], check=True, capture_output=True)
    installed = {item["name"].lower() for item in json.loads(listed.stdout)}
    print(f"environment: {len(installed)} distributions, {time.perf_counter() - started:.0f} s")
    assert not installed & set(FORBIDDEN), f"installed along: {sorted(installed & set(FORBIDDEN))}"
    return python


def run_in(python: Path, model: Path, crops: Path, scratch: Path) -> np.ndarray:
    """Run the model in an environment: isolated from this folder, with no cache and no way to fetch anything."""
    (scratch / "empty").mkdir()
    home = str(scratch / "empty")
    nowhere = "http://127.0.0.1:9"
    variables = {
        "HOME": home,
        "VEIL_CACHE": home,
        "PATH": "/usr/bin:/bin",
        "http_proxy": nowhere,
        "https_proxy": nowhere,
    }
    out = scratch / "found.npy"
    command = [str(python), "-I", "-c", RUN, str(model), str(crops), str(out)]
    done = subprocess.run(command, env=variables, cwd=home, check=True, capture_output=True, text=True)
    print(done.stdout.strip())
    assert str(model) in done.stdout, "the model ran other code than its own"
    assert not list(Path(home).rglob("*.onnx")) and not (Path(home) / "assets").exists(), "something was fetched"
    return np.load(out)


def compare(found: np.ndarray, expected: np.ndarray) -> None:
    """Print how many pixels differ; none may."""
    assert found.shape == expected.shape and found.dtype == expected.dtype == np.uint8
    print(f"{len(found)} faces, {found.size} values, {int((found != expected).sum())} differ")
    np.testing.assert_array_equal(found, expected)


if __name__ == "__main__":
    main()
