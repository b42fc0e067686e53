"""The layout and the directions of imports, read from the source of every module."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCE_ROOTS = {"veil": REPOSITORY / "platform", "trainables": REPOSITORY, "search_spaces": REPOSITORY}

# A part may import parts of its own line and of the lines above it.
LAYERS = (
    ("errors", "atomic", "json_lines", "config", "objectives", "registry", "interfaces"),
    (
        "assets",
        "weights",
        "faces",
        "datasets",
        "recognizers",
        "expression",
        "features",
        "metrics",
        "runtime",
        "frontier",
    ),
    ("protocol",),
    ("records",),
    ("study", "driver_state"),
    ("points", "volume", "trial_log", "sealed", "serving"),
    ("importance",),
    ("overview",),
    ("tracking", "reporting", "status", "cluster"),
    ("preparing", "sweep", "picking", "attacking", "anonymizing", "teaching", "exporting", "report"),
    ("cli",),
)
LEVELS = {part: level for level, parts in enumerate(LAYERS) for part in parts}

# What plug-ins may see of Veil.
VISIBLE_TO_TRAINABLES = {part for level in LAYERS[:3] for part in level}
VISIBLE_TO_SEARCH_SPACES = {"config", "objectives", "registry", "interfaces"}

# Libraries that one part wraps for all others.
WRAPPED = {
    "ray": ("veil.cluster", "veil.preparing", "veil.sweep"),
    "optuna": ("veil.trial_log", "veil.importance", "veil.sweep", "veil.tracking.dashboard", "search_spaces"),
    "mlflow": ("veil.tracking",),
    "pooch": ("veil.assets",),
    "requests": ("veil.assets",),
    "urllib.request": ("veil.assets",),
    "http.client": ("veil.assets",),
    "subprocess": ("veil.assets", "veil.report", "veil.tracking"),
    "av": ("veil.anonymizing",),
    "insightface": ("veil.recognizers", "veil.faces"),
}


class Import(NamedTuple):
    """One import statement's target.

    Attributes:
        name: dotted path of a module, or of a name in one.
        line: line in the importing module.
        at_load: whether loading the module runs it (not inside a function).
    """

    name: str
    line: int
    at_load: bool


def imports_of(source: str, module: str, is_package: bool = False) -> Iterator[Import]:
    """Imports that run at some time; those for type checkers alone do not count."""

    def visit(node: ast.AST, at_load: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                yield from visit(child, at_load)
            return
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, at_load)
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".") if is_package else module.split(".")[:-1]
            base = package[: len(package) - node.level + 1] if node.level else []
            path = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(f"{path}.{alias.name}", node.lineno, at_load)
        inside = at_load and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(source), at_load=True)


def part_of(name: str) -> str | None:
    """The part of Veil that a dotted name lies in; None outside Veil and for Veil itself."""
    root, _, rest = name.partition(".")
    return rest.split(".")[0] if root == "veil" and rest else None


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def violations(modules: Mapping[str, str], packages: frozenset[str] = frozenset()) -> list[str]:
    """What is wrong with the imports of some modules, given as source text by dotted name."""
    found = []
    for module, source in modules.items():
        if module.rsplit(".", 1)[-1] == "utils":
            found.append(f"{module}: no module is called utils; name it after its purpose")
        own = part_of(module)
        if own is not None and own not in LEVELS:
            found.append(f"{module}: the part {own!r} has no place in LAYERS")
            continue
        for name, line, _ in imports_of(source, module, module in packages):
            where = f"{module}:{line} imports {name}"
            for library, allowed in WRAPPED.items():
                if within(name, library) and not any(within(module, prefix) for prefix in allowed):
                    found.append(f"{where}: only {' and '.join(allowed)} may")
            root = module.split(".")[0]
            target = part_of(name)
            if root == "veil" and name.split(".")[0] in ("trainables", "search_spaces"):
                found.append(f"{where}: Veil finds plug-ins by discovery and never names them")
            if root == "search_spaces" and within(name, "trainables"):
                found.append(f"{where}: search spaces name trainables by their registered names")
            if target not in LEVELS:
                continue
            if own is not None and LEVELS[target] > LEVELS[own]:
                found.append(f"{where}: {own} lies below {target}")
            if root == "trainables" and target not in VISIBLE_TO_TRAINABLES:
                found.append(f"{where}: trainables may not see {target}")
            if root == "search_spaces" and target not in VISIBLE_TO_SEARCH_SPACES:
                found.append(f"{where}: search spaces may not see {target}")
    return found + cycles(modules, packages)


def cycles(modules: Mapping[str, str], packages: frozenset[str] = frozenset()) -> list[str]:
    """Modules that cannot be loaded without each other."""
    graph: dict[str, set[str]] = {}
    for module, source in modules.items():
        targets = set()
        for name, _, at_load in imports_of(source, module, module in packages):
            if at_load:
                targets |= {candidate for candidate in (name, name.rpartition(".")[0]) if candidate in modules}
        graph[module] = targets - {module}
    found, done = [], set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            found.append(" -> ".join((*path[path.index(module) :], module)))
            return
        if module in done:
            return
        for target in sorted(graph[module]):
            walk(target, (*path, module))
        done.add(module)

    for module in sorted(graph):
        walk(module, ())
    return found


def repository_modules() -> tuple[dict[str, str], frozenset[str]]:
    modules, packages = {}, set()
    for package, root in SOURCE_ROOTS.items():
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            modules[name] = path.read_text(encoding="utf-8")
            if parts[-1] == "__init__":
                packages.add(name)
    return modules, frozenset(packages)


def test_imports_point_one_way():
    modules, packages = repository_modules()
    assert len(modules) > 20
    assert violations(modules, packages) == []


def test_platform_is_a_source_root_and_never_a_package():
    assert not (REPOSITORY / "platform" / "__init__.py").exists(), "it would shadow the standard library's platform"


def test_standard_platform_is_found_from_the_repository_root():
    code = "import platform, sys; print(platform.__file__); platform.system(); platform.python_version()"
    # No -P or -I: the current folder must be on the path, as it is for anyone who works here.
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    found = Path(result.stdout.strip()).resolve()
    assert not found.is_relative_to(REPOSITORY / "platform")
    assert found.name == "platform.py"


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("veil.metrics.verification", "from veil.protocol.pairs import compare", "metrics lies below protocol"),
        ("veil.config", "import veil.sweep", "config lies below sweep"),
        ("veil.config", "from veil import sweep", "config lies below sweep"),
        ("veil.runtime.runtime", "def f():\n    from veil.tracking import Tracker", "runtime lies below tracking"),
        ("veil.metrics.roc", "from ..protocol import pairs", "metrics lies below protocol"),
        ("veil.protocol.ladder", "import trainables.attackers", "by discovery"),
        ("veil.runtime.runtime", "import ray.train", "only veil.cluster and veil.preparing and veil.sweep may"),
        (
            "veil.interfaces",
            "import optuna",
            "only veil.trial_log and veil.importance and veil.sweep and veil.tracking.dashboard and search_spaces may",
        ),
        ("veil.cli", "from mlflow.tracking import MlflowClient", "only veil.tracking may"),
        ("trainables.gan.loop", "import mlflow", "only veil.tracking may"),
        ("trainables.gan.loop", "from veil.sweep.trial import run", "trainables may not see sweep"),
        ("trainables.gan.loop", "import veil.cli", "trainables may not see cli"),
        ("veil.datasets.orl", "import pooch", "only veil.assets may"),
        ("veil.datasets.orl", "from urllib import request", "only veil.assets may"),
        ("veil.datasets.orl", "import urllib.request", "only veil.assets may"),
        ("veil.faces.prepare", "import subprocess", "only veil.assets and veil.report and veil.tracking may"),
        ("search_spaces.smoke", "from veil.runtime import Runtime", "search spaces may not see runtime"),
        ("search_spaces.smoke", "from trainables.gan import loop", "by their registered names"),
        ("veil.metrics.utils", "", "no module is called utils"),
        ("veil.misc.things", "", "has no place in LAYERS"),
    ],
)
def test_checker_catches(module, source, complaint):
    found = violations({module: source})
    assert len(found) == 1, found
    assert complaint in found[0]


def test_checker_catches_cycles_between_modules_of_one_layer():
    modules = {
        "veil.faces.table": "from veil.datasets.orl import Orl",
        "veil.datasets.orl": "from veil.faces import table",
    }
    assert violations(modules) == ["veil.datasets.orl -> veil.faces.table -> veil.datasets.orl"]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("veil.interfaces", "if TYPE_CHECKING:\n    from veil.runtime import Launcher\n    from optuna import Trial"),
        ("veil.sweep.driver", "import ray, optuna\nfrom veil.tracking import Tracker"),
        ("search_spaces.smoke", "from optuna import Trial\nfrom veil.interfaces import Anchor"),
        ("trainables.attackers.informed", "from veil.protocol.pairs import compare"),
        ("veil.datasets.orl", "from urllib.parse import urlparse\nfrom veil.assets import fetch"),
        ("veil.metrics.rays", "import rayon"),
    ],
)
def test_checker_allows(module, source):
    assert violations({module: source}) == []
