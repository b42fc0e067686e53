"""Typed registries of plug-ins, filled by discovery: one file with one decorator adds one plug-in."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar

from veil.errors import ConfigError, nearest

PLUGIN_GROUP = "veil.plugins"

T = TypeVar("T")


def import_submodules(package_name: str) -> None:
    """Import a package and every module below it, so that their decorators run."""
    package = importlib.import_module(package_name)
    for module in pkgutil.walk_packages(package.__path__, prefix=f"{package_name}."):
        importlib.import_module(module.name)


@cache
def discover_plugin_packages() -> None:
    """Import every package that an installed distribution names under the `veil.plugins` entry point."""
    for entry_point in entry_points(group=PLUGIN_GROUP):
        import_submodules(entry_point.value)


def presets() -> dict[str, Path]:
    """Study files that lie in plug-in packages, by the names under which they are asked for."""
    found: dict[str, Path] = {}
    for entry_point in entry_points(group=PLUGIN_GROUP):
        for folder in importlib.import_module(entry_point.value).__path__:
            found |= {path.stem: path for path in sorted(Path(folder).glob("*.yaml"))}
    return found


def find_preset(name: str) -> Path:
    """Study file `<name>.yaml` that lies in a plug-in package.

    Raises:
        ConfigError: no plug-in package has a preset of that name; the nearest is named.
    """
    known = presets()
    if name not in known:
        raise ConfigError(f"unknown preset {name!r}; {nearest(name, known)}; give a file of your own with --config")
    return known[name]


_watched: ContextVar[set[str] | None] = ContextVar("watched", default=None)


@contextmanager
def watch_lookups() -> Iterator[set[str]]:
    """Collect the modules of the plug-ins that are asked for by name within the block."""
    watched: set[str] = set()
    token = _watched.set(watched)
    try:
        yield watched
    finally:
        _watched.reset(token)


class Registry(Generic[T]):
    """Plug-ins of one kind by name.

    Args:
        kind: what the plug-ins are, for messages ("recognizer").
        builtin_package: import path of the package of Veil that holds plug-ins of this kind, if any.
    """

    def __init__(self, kind: str, builtin_package: str | None = None) -> None:
        self.kind = kind
        self._builtin_package = builtin_package
        self._plugins: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Register the decorated object under `name`; a name already taken is a ConfigError."""

        def decorator(plugin: T) -> T:
            taken = self._plugins.get(name)
            if taken is not None and _identity(taken) != _identity(plugin):
                raise ConfigError(
                    f"{self.kind} {name!r} is registered twice: by {_identity(taken)} and {_identity(plugin)}; "
                    "rename one of them"
                )
            self._plugins[name] = plugin
            return plugin

        return decorator

    def get(self, name: str) -> T:
        """Return the plug-in called `name`.

        Raises:
            ConfigError: no plug-in has that name; the nearest one is named.
        """
        if name not in self._plugins:
            self._discover()
        if name not in self._plugins:
            raise ConfigError(f"unknown {self.kind} {name!r}; {nearest(name, self._plugins)}")
        plugin = self._plugins[name]
        if (watched := _watched.get()) is not None:
            watched.add(plugin.__module__)
        return plugin

    def names(self) -> list[str]:
        """Names of all plug-ins of this kind, sorted."""
        self._discover()
        return sorted(self._plugins)

    def _discover(self) -> None:
        if self._discovered:
            return
        if self._builtin_package is not None:
            import_submodules(self._builtin_package)
        discover_plugin_packages()
        self._discovered = True


def _identity(plugin: object) -> str:
    return f"{getattr(plugin, '__module__', '?')}.{getattr(plugin, '__qualname__', plugin)}"


# The values are factories or classes; `veil.interfaces` says what each kind must be.
recognizers: Registry = Registry("recognizer", "veil.recognizers")
expression_nets: Registry = Registry("expression net", "veil.expression")
feature_nets: Registry = Registry("feature net", "veil.features")
datasets: Registry = Registry("dataset", "veil.datasets")
detectors: Registry = Registry("detector", "veil.faces.detectors")
parsers: Registry = Registry("face parser", "veil.faces.parsers")
conditionings: Registry = Registry("conditioning")
anonymizers: Registry = Registry("anonymizer")
attackers: Registry = Registry("attacker", "veil.protocol.ladder")
trainables: Registry = Registry("trainable")
trainings: Registry = Registry("training")
search_spaces: Registry = Registry("search space")
