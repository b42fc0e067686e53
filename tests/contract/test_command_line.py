"""What every command owes its user: help for each option, examples that parse, quiet on demand, a documented status."""

import re
import shlex
import sqlite3
from pathlib import Path

import pytest
import typer
from rich.text import Text
from study_helpers import call_veil
from typer.testing import CliRunner

from veil.cli import ExitStatus, app
from veil.cli.completion import complete_model, complete_preset, complete_study
from veil.errors import ConfigError, RefusedError

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "platform" / "docs").glob("*.md"))]

GROUP = typer.main.get_command(app)
COMMANDS = GROUP.commands
BEYOND_VEIL = {"<", ">", "|", "&&"}
ACTS_AT_ONCE = {"--help", "--version", "--install-completion"}


def examples_of_help(name: str) -> list[str]:
    lines = Text.from_markup(COMMANDS[name].epilog or "").plain.splitlines()
    return [line.partition("  ")[0] for line in lines if line.startswith("veil ")]


def examples_of_page(page: Path) -> list[str]:
    """Lines of code blocks that call Veil, without comments, prompts and the ellipses of an abridged value."""
    blocks = re.findall(r"```(?:bash|sh|console)?\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("veil ")]


def parse(line: str) -> None:
    """Parse a command line as Veil does, and run nothing.

    Raises:
        Exception: of the parser, where an option or a value does not exist.
    """
    words = shlex.split(line, comments=True)[1:]
    end = next((index for index, word in enumerate(words) if word in BEYOND_VEIL), len(words))
    if words[0] in ACTS_AT_ONCE:
        return
    context = GROUP.make_context("veil", words[:end])
    name, *rest = [*context._protected_args, *context.args]
    COMMANDS[name].make_context(name, rest, parent=context)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_explains_itself(name: str) -> None:
    command = COMMANDS[name]
    assert command.help and command.help.strip()[0].isupper()
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--quiet", "-q"} <= options
    silent = [parameter.name for parameter in command.params if not getattr(parameter, "help", None)]
    assert not silent, "these say nothing in --help"
    examples = examples_of_help(name)
    assert examples
    for line in examples:
        assert line.split()[1] == name
        parse(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_of_pages_parse(page: Path) -> None:
    for line in examples_of_page(page):
        parse(line)


def test_a_wrong_example_is_noticed() -> None:
    for line in ("veil frontier smoke --famly gan", "veil frontier", "veil ui --port many", "veil nothing"):
        with pytest.raises(Exception, match=r"(?i)no such|missing|a valid integer|unexpected extra|nothing"):
            parse(line)


def test_quiet_before_and_behind_the_command_and_only_there() -> None:
    assert call_veil("datasets").stdout
    assert call_veil("--quiet", "datasets").stdout == call_veil("datasets", "-q").stdout == ""
    assert call_veil("datasets").stdout


def test_exit_statuses_are_told_in_help_and_in_the_page() -> None:
    told = " ".join(CliRunner().invoke(app, ["--help"]).output.split())
    page = (REPOSITORY / "platform" / "docs" / "commands.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| (\d+) \| (.+) \|$", page, flags=re.MULTILINE))
    assert table == {str(int(status)): status.meaning for status in ExitStatus}
    for status in ExitStatus:
        assert f"{int(status)} {status.meaning}" in told
    assert ExitStatus.of(RefusedError("")) == 4 and ExitStatus.of(ConfigError("")) == 2


def test_completion_offers_what_is_there(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.yaml").touch()
    (tmp_path / "mlflow").mkdir()

    class Context:
        params = {"root": tmp_path}

    assert complete_study(Context(), "") == ["first", "second"] and complete_study(Context(), "s") == ["second"]
    assert "smoke" in complete_preset("sm")
    assert complete_model(Context(), "") == [], "no database"
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert complete_model(Context(), "") == [], "a database without models"
        database.execute("CREATE TABLE registered_model_aliases (name TEXT, alias TEXT, version INTEGER)")
        database.execute("INSERT INTO registered_model_aliases VALUES ('face-anonymizer', 'balanced', 1)")
    assert complete_model(Context(), "face") == ["face-anonymizer@balanced"]
    assert complete_model(Context(), "x") == []
