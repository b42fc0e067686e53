"""What the shell offers behind TAB: names that a look into a folder or a database gives at once."""

import sqlite3
from contextlib import closing
from pathlib import Path

import typer

from veil.registry import presets


def complete_study(context: typer.Context, incomplete: str) -> list[str]:
    """Names of the studies below `--root`."""
    names = (path.parent.name for path in _root(context).glob("*/study.yaml"))
    return sorted(name for name in names if name.startswith(incomplete))


def complete_preset(incomplete: str) -> list[str]:
    """Names of the studies that ship with Veil."""
    return sorted(name for name in presets() if name.startswith(incomplete))


def complete_model(context: typer.Context, incomplete: str) -> list[str]:
    """NAME@ALIAS of the models in the registry below `--root`.

    MLflow takes seconds to import; its table of aliases is read instead, and nothing is offered if that has changed.
    """
    database = _root(context) / "mlflow.db"
    if not database.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"file:{database.resolve()}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT name, alias FROM registered_model_aliases ORDER BY name, alias")
            return [text for name, alias in rows if (text := f"{name}@{alias}").startswith(incomplete)]
    except sqlite3.Error:
        return []


def _root(context: typer.Context) -> Path:
    return Path(context.params["root"])
