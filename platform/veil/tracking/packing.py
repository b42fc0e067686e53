"""Packs an operating point with its code and nets, and proves that the pack gives the same pixels by itself."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from packaging.version import Version

from veil.errors import TrackingError
from veil.records import TrialRecord
from veil.serving import PointDescription
from veil.serving.point import ASSETS, DESCRIPTION, TRIAL
from veil.serving.probe import Findings

SERVING_CODE = Path(__file__).with_name("serving.py")
CODE = "code"
POINT = "point"
RECORD = "record.json"
MODEL_LIBRARIES = ("mlflow-skinny", "numpy", "pandas")
"""What MLflow itself needs to load and run a model of this kind."""


class Pack(NamedTuple):
    """Files of a model before MLflow gets them.

    Attributes:
        point: folder of the operating point, an artifact of the model.
        serving: what MLflow runs.
        code: folders of the packages that travel along.
        assets: files of the nets that it carries.
        needs: signals that a face must have.
        requirements: exact versions of the libraries that the code imports.
        files_sha256: digest over all of these files.
    """

    point: Path
    serving: Path
    code: tuple[Path, ...]
    assets: tuple[Path, ...]
    needs: tuple[str, ...]
    requirements: tuple[str, ...]
    files_sha256: str


def pack_point(
    folder: Path,
    description: PointDescription,
    record: TrialRecord,
    trial: Path,
    model_files: Sequence[str] | None,
    crops: np.ndarray,
) -> Pack:
    """Pack a finished trial.

    Two processes run it: one as it is here, which tells what it asks for, and one that has nothing but the pack.

    Args:
        folder: an empty folder for the pack.
        description: what is rebuilt; its modules are found out here.
        record: of the trial.
        trial: its folder.
        model_files: files and folders of the trial that travel; None takes all.
        crops: uint8 (B, 112, 112, 3), RGB, on which both processes must agree.

    Raises:
        TrackingError: it cannot be rebuilt, or gives other pixels by itself.
        OSError: the folder cannot be written.
    """
    point = folder / "artifacts" / POINT
    sources = [trial] if model_files is None else [trial / name for name in model_files]
    _copy(sources, point / TRIAL, merge=model_files is None)
    # The search score, with what it says of each person, stays with the study.
    short = record.model_copy(update={"score": None})
    (point / TRIAL / RECORD).write_text(short.model_dump_json(indent=2), encoding="utf-8")
    _describe(point, description)
    np.save(folder / "crops.npy", crops)
    expected, asked = _probe(point, folder, carried=False)

    _describe(point, description.model_copy(update={"modules": asked.modules}))
    _copy(asked.assets, point / ASSETS)
    packages = sorted({"veil", *(module.split(".")[0] for module in asked.modules)})
    _copy([_source(name) for name in packages], folder / CODE)
    serving = Path(shutil.copy(SERVING_CODE, folder))
    found, alone = _probe(point, folder, carried=True)
    if alone.code.resolve() != (folder / CODE).resolve():
        raise TrackingError(f"the packed model ran the code in {alone.code}, expected its own")
    if not np.array_equal(expected, found):
        raise TrackingError("the packed model gives other pixels than the trial; it is not registered")
    return Pack(
        point=point,
        serving=serving,
        code=tuple(folder / CODE / name for name in packages),
        assets=asked.assets,
        needs=asked.needs,
        requirements=_pinned(alone.imports),
        files_sha256=files_sha256(folder),
    )


def files_sha256(model: Path) -> str:
    """Digest over a model's own files: its code, and the operating point with its nets.

    Args:
        model: folder of a registered model, or of a pack.
    """
    parts = (model / CODE, model / "artifacts" / POINT, model / SERVING_CODE.name)
    files = [path for part in parts for path in ([part] if part.is_file() else part.rglob("*")) if _travels(path)]
    lines = sorted(
        f"{path.relative_to(model).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _travels(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _describe(point: Path, description: PointDescription) -> None:
    (point / DESCRIPTION).write_text(description.model_dump_json(indent=2), encoding="utf-8")


def _copy(sources: Iterable[Path], target: Path, merge: bool = False) -> None:
    """Copy files and folders into a folder; with `merge`, what is in the folders."""
    target.mkdir(parents=True, exist_ok=True)
    for source in sources:
        if source.is_dir():
            into = target if merge else target / source.name
            shutil.copytree(source, into, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)


def _source(package: str) -> Path:
    """Folder of an imported package, or file of a module."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)


def _probe(point: Path, folder: Path, carried: bool) -> tuple[np.ndarray, Findings]:
    """Run the point in a process of its own; `carried`: with nothing but the pack's own code and nets."""
    out = folder / "anonymized.npy"
    command = [sys.executable, "-m", "veil.serving.probe", str(point), str(folder / "crops.npy"), str(out)]
    environment = dict(os.environ)
    if carried:
        command.append("--carried")
        environment["PYTHONPATH"] = str(folder / CODE)
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise TrackingError(f"the {'packed model' if carried else 'trial'} cannot be loaded by itself: {last[0]}")
    return np.load(out), Findings.model_validate(json.loads(done.stdout.splitlines()[-1]))


def _pinned(imports: Iterable[str]) -> tuple[str, ...]:
    """The distributions that hold some modules, each at the version that is installed here."""
    holders = packages_distributions()
    names = {*MODEL_LIBRARIES, *(holders[name][0] for name in imports if name in holders)}
    # A local build ("2.15.0+cpu") is in no package index; the release that it was built from is.
    return tuple(f"{name}=={Version(version(name)).public}" for name in sorted(names, key=str.lower))
