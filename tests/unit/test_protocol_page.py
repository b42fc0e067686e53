"""The protocol page says what the code does: its guards are quoted from it, its ladder is the registered one."""

import ast
import re
from pathlib import Path

import pytest

from veil.config import SuiteConfig
from veil.protocol.guards import SPLITS
from veil.registry import attackers

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "platform/docs/protocol.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Text below a heading, up to the next one."""
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """Cells of the first Markdown table of a text, without its heading."""
    lines = ("|" + text.partition("\n|")[2]).partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def messages() -> str:
    """Every text in the source, with a blank where a value is filled in."""
    texts = []
    for path in [*(REPOSITORY / "platform/veil").rglob("*.py"), *(REPOSITORY / "trainables").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            if isinstance(node, ast.JoinedStr):
                texts.append(
                    "".join(
                        getattr(part, "value", "") if isinstance(part, ast.Constant) else "\0" for part in node.values
                    )
                )
    return "\n".join(texts)


SOURCE = messages()
GUARDS = rows(section("8 Guards"))


@pytest.mark.parametrize("guard", GUARDS, ids=lambda row: row[0][:40])
def test_guards_are_quoted_from_the_code(guard: list[str]) -> None:
    quotes = re.findall('"([^"]+)"', guard[2])
    assert quotes, "say what Veil says"
    for quote in quotes:
        fragments = [fragment.strip(" :;,") for fragment in quote.split("…")]
        for fragment in fragments:
            assert len(fragment) < 4 or fragment in SOURCE, fragment


def test_ladder_is_the_registered_one() -> None:
    listed = {cells[1].strip("`"): cells[0] for cells in rows(section("5 The attack ladder"))}
    assert listed == {name: attackers.get(name).rung for name in attackers.names()}


def test_splits_and_defaults_are_those_of_the_code() -> None:
    assert tuple(cells[0].strip("`") for cells in rows(section("3 Data"))) == SPLITS
    suite = SuiteConfig()
    assert f"at least {suite.min_false_accepts} impostor pairs" in PAGE
    assert f"\\alpha = {suite.far:g}" in PAGE
    assert f"({suite.floor_permutations} times" in PAGE
    assert f"a control (A0) below {suite.min_control_tar:g}" in PAGE


def test_every_reference_is_cited_and_every_citation_listed() -> None:
    body, references = PAGE.split("## 13 References\n")
    listed = {int(number) for number in re.findall(r"^(\d+)\. ", references, flags=re.MULTILINE)}
    cited = {int(number) for group in re.findall(r"\[(\d+(?:, \d+)*)\](?!\()", body) for number in group.split(", ")}
    assert cited - {0} == listed, "[0, 1] is a range"


def test_links_to_files_exist() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        assert "platform/docs/protocol.md" in (REPOSITORY / name).read_text(encoding="utf-8")
    for folder in re.findall(r"`((?:platform|trainables)/[\w/]+)`", PAGE):
        assert (REPOSITORY / folder).exists(), folder
