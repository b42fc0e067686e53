"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from veil.cli.completion import complete_preset, complete_study
from veil.config import StudyConfig, load_study_config
from veil.registry import find_preset

DEFAULT_ROOT = Path("studies")

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="Study file (YAML).")]
PresetOption = Annotated[
    str,
    typer.Option("--preset", help="Study that ships with Veil, used without --config.", autocompletion=complete_preset),
]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="One setting, for example search.trials=40.")]
StudyArgument = Annotated[str, typer.Argument(help="Name of the study.", autocompletion=complete_study)]
RootOption = Annotated[Path, typer.Option("--root", help="Folder that holds the studies.")]
OpenOption = Annotated[bool, typer.Option("--open", help="Open the page in the browser.")]


def load_config(config: Path | None, preset: str, overrides: list[str] | None) -> StudyConfig:
    """Settings of a study file, or of a preset where no file is given, with single settings laid over them."""
    return load_study_config(config or find_preset(preset), overrides or [])
