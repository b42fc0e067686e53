"""Tables that the templates of the report draw: what a chapter needs and no measurement module gives."""

from collections import Counter
from typing import NamedTuple

from markupsafe import Markup

from veil.registry import trainables
from veil.report.findings import DIGITS, LEVEL, Row, Section
from veil.report.material import Material
from veil.report.threat import first_line
from veil.sealed import SealedLook


class Method(NamedTuple):
    """A trainable of the study.

    Attributes:
        trainable, family: what it is.
        description: what it says of itself.
        valid, invalid, stopped: trials; the last were stopped early.
        images: seen by its trainings, least and most; None where nothing was trained.
    """

    trainable: str
    family: str
    description: str
    valid: int
    invalid: int
    stopped: int
    images: tuple[int, int] | None


def methods(material: Material) -> list[Method]:
    """What the study tried, by the number of trials."""
    counts = Counter((record.trainable, record.family) for record in material.records)
    found = []
    for (trainable, family), _ in counts.most_common():
        own = [record for record in material.records if record.trainable == trainable]
        images = [sum(record.trainings.values()) for record in own if record.trainings]
        found.append(
            Method(
                trainable=trainable,
                family=family,
                description=first_line(trainables.get(trainable)),
                valid=sum(record.state == "valid" for record in own),
                invalid=sum(record.state not in ("valid", "stopped") for record in own),
                stopped=sum(record.state == "stopped" for record in own),
                images=(min(images), max(images)) if images else None,
            )
        )
    return found


class AnswerRow(NamedTuple):
    """A row of findings; every cell is ready to be shown.

    Attributes:
        row: the row.
        cells: value, and difference with its p-value, by quantity.
    """

    row: Row
    cells: tuple[tuple[Markup, Markup], ...]


def answer_rows(material: Material, section: Section) -> list[AnswerRow]:
    """Rows of a section, traced to the report's own run."""
    place = [item is section for item in material.sections].index(True)
    return [
        AnswerRow(
            row,
            tuple(_answer_cell(material, row, name, f"answers/{place}/{index}/{name}") for name in section.quantities),
        )
        for index, row in enumerate(section.rows)
    ]


def _answer_cell(material: Material, row: Row, quantity: str, key: str) -> tuple[Markup, Markup]:
    evidence, form = material.evidence, f".{DIGITS.get(quantity, 2)}f"
    value = Markup("–")
    if quantity in row.values:
        value = evidence.interval(row.values[quantity], key, form=form)
    if quantity in row.deviations:
        value += Markup(" ± {}").format(evidence.number(row.deviations[quantity], f"{key}_deviation", form=form))
    difference = row.differences.get(quantity)
    if difference is None:
        return value, Markup("")
    words = evidence.interval(difference, f"{key}_difference", form=f"+z{form}")
    if quantity in row.p_values:
        words += _p_value(material, row.p_values[quantity], f"{key}_p")
    return value, words


def _p_value(material: Material, value: float, key: str) -> Markup:
    shown = Markup('<span class="p">p {}</span>').format(
        material.evidence.number(value, key, form=".3f" if value >= 0.001 else ".0e")
    )
    return Markup("<b>{}</b>").format(shown) if value <= LEVEL else shown


class LookRow(NamedTuple):
    """One look at the sealed people; every cell is ready to be shown.

    Attributes:
        number: of the look, counted from 1.
        look: what was logged.
        searched, sealed: leak and utility of the trial on the people of the search, and on the sealed people.
        worst: TAR of the sealed person most recognized, and utility of the one whose expression suffers most.
        run: link to the run of the look; a dash where none was logged.
        registered: names in the model registry that rest on it.
    """

    number: int
    look: SealedLook
    searched: tuple[Markup, ...]
    sealed: tuple[Markup, ...]
    worst: tuple[Markup, ...]
    run: Markup
    registered: str


def look_rows(material: Material) -> list[LookRow]:
    """Every look at the sealed people, first to last."""
    return [_look_row(material, number, look) for number, look in enumerate(material.looks, start=1)]


def _look_row(material: Material, number: int, look: SealedLook) -> LookRow:
    evidence, none = material.evidence, Markup("–")
    names = ("leak", "utility")
    searched = material.scores[look.trial].objectives if look.trial in material.scores else {}
    run = look.run_id if look.run_id in evidence.runs.others else None
    # Without a run of its own, what a look found goes into the report's, where other looks lie too.
    prefix = "" if run is not None else f"look/{number}/"
    people = look.score.people
    worst = {
        "people/tar_most": max((person.tar for person in people if person.tar is not None), default=None),
        "people/utility_least": min((person.utility for person in people), default=None),
    }
    return LookRow(
        number=number,
        look=look,
        searched=tuple(
            evidence.interval(searched[name], f"objective/{name}", look.trial) if name in searched else none
            for name in names
        ),
        sealed=tuple(
            evidence.interval(look.score.objectives[name], f"{prefix}sealed/{name}", run=run)
            if name in look.score.objectives
            else none
            for name in names
        ),
        worst=tuple(
            evidence.number(value, f"{prefix}sealed/{key}", run=run) if value is not None else none
            for key, value in worst.items()
        ),
        run=evidence.link(run) if run is not None else none,
        registered=", ".join(
            f"{item.model}@{item.alias} (version {item.version})"
            for item in material.registrations
            if item.look == number
        ),
    )
