"""Loads an operating point in a process of its own and tells what it asked for: `python -m veil.serving.probe`."""

import argparse
import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import veil
from veil.assets import watch_assets
from veil.config import Settings
from veil.errors import VeilError
from veil.registry import Registry, watch_lookups
from veil.serving.point import OperatingPoint


class Findings(Settings):
    """What an operating point asked for.

    Attributes:
        modules: modules of the plug-ins it is made of.
        assets: files of the nets that it looks through.
        imports: top-level names of the libraries that its code imports.
        needs: signals that a face must have.
        code: folder that Veil's code came from.
    """

    modules: tuple[str, ...]
    assets: tuple[Path, ...]
    imports: tuple[str, ...]
    needs: tuple[str, ...]
    code: Path


def probe(folder: Path, crops: np.ndarray, carried: bool) -> tuple[np.ndarray, Findings]:
    """Load an operating point and let it anonymize; see `OperatingPoint` for the arguments."""
    with watch_lookups() as modules, watch_assets() as assets:
        point = OperatingPoint(folder, carried)
        anonymized = point(crops)
    own = {"veil", *(module.split(".")[0] for module in modules)}
    imported = {name for module in list(sys.modules) if module.split(".")[0] in own for name in _imports_of(module)}
    findings = Findings(
        modules=tuple(sorted(modules)),
        assets=tuple(sorted(assets)),
        imports=tuple(sorted((imported & set(sys.modules)) - own - set(sys.stdlib_module_names))),
        needs=point.needs,
        code=Path(str(veil.__file__)).parents[1],
    )
    return anonymized, findings


def _imports_of(module: str) -> Iterator[str]:
    """Top-level names that a loaded module's source imports somewhere."""
    path = getattr(sys.modules[module], "__file__", None)
    if path is None or not path.endswith(".py"):
        return
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def _search_nothing(registry: Registry) -> None:
    """Stands for the discovery of plug-ins where nothing but a model's own code may be found."""


def main() -> None:
    """Probe as the arguments say: crops come from one .npy file, anonymized ones go to another, findings are printed.

    A model that carries everything must do without the discovery of plug-ins, which another environment may lack.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("crops", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--carried", action="store_true")
    arguments = parser.parse_args()
    if arguments.carried:
        setattr(Registry, "_discover", _search_nothing)  # noqa: B010, as a type checker lets nobody assign to methods
    try:
        anonymized, findings = probe(arguments.folder, np.load(arguments.crops), arguments.carried)
    except VeilError as error:
        sys.exit(str(error))
    np.save(arguments.out, anonymized)
    print(json.dumps(findings.model_dump(mode="json")))


if __name__ == "__main__":
    main()
