"""What a study answers: differences with intervals and a sentence for each question, printed and as JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from veil.atomic import replace_when_complete
from veil.config import StudyConfig
from veil.errors import ConfigError
from veil.frontier.sensitivity import compare_detectors
from veil.interfaces import Question
from veil.objectives import get_objective
from veil.points import robustness_point, sensitivity_point
from veil.records import StudyKind, TrialRecord
from veil.registry import search_spaces
from veil.report.ablations import answer_questions
from veil.report.best_of_family import against_baselines
from veil.report.changes import attacker_changes, detector_changes
from veil.report.findings import JudgedTrial, Section
from veil.report.findings_table import findings
from veil.report.fronts import compare_fronts
from veil.study import StudyFolder


def print_answers(
    config: StudyConfig, folder: StudyFolder, sections: list[Section], console: Console, json_file: Path | None = None
) -> None:
    """Print what a study answers, and the trials that are not valid; write the same numbers to a file if asked to.

    Args:
        config: of the study.
        folder: of the study.
        sections: what it answers.
        console: where to print.
        json_file: for the numbers.
    """
    reasons = {
        f"trial {record.number}, {record.label}": record.reason or ""
        for record in folder.records()
        if record.state not in ("valid", "stopped")
    }
    console.print(findings(sections, f"study {config.study}: {len(folder.records())} trials"))
    if not sections:
        console.print("It asks no question of its own and holds one family of methods: nothing is compared.")
    for name, reason in reasons.items():
        console.print(Text.assemble((f"✗ {name}", "red"), f": {reason}"))
    if json_file is not None:
        with replace_when_complete(json_file) as temporary:
            temporary.write_text(json.dumps(report_values(config.study, sections, reasons), indent=2), encoding="utf-8")


def study_sections(config: StudyConfig, folder: StudyFolder, kind: StudyKind, family: str) -> list[Section]:
    """What the study answers, by what it compares and what its search space asks.

    Returns:
        nothing where nothing is asked and all trials are of one family.

    Raises:
        ConfigError: it has no trials to compare.
        ProtocolError: trials were scored on different people.
    """
    records = [record for record in folder.records() if record.state == "valid" and record.score is not None]
    if not records:
        raise ConfigError(
            f"no trial of study {folder.name!r} has a valid score on people; run `veil resume {folder.name}`, or see "
            "its frontier: `veil frontier`"
        )
    if kind == "detectors":
        points = [sensitivity_point(record, folder.spreads(record.number)) for record in records]
        people = config.data.splits.search
        compared = compare_detectors(points, config.data.detector, people)
        return [detector_changes(compared, config.data.detector, people)]
    trials = [judged_trial(record, folder) for record in records]
    if kind == "attackers":
        return [attacker_changes([robustness_point(record) for record in records], trials)]
    questions: tuple[Question, ...] = tuple(getattr(search_spaces.get(config.search.space)(), "questions", ()))
    if not questions:
        return _against_baselines(folder, records, trials, family)
    objectives = [get_objective(name) for name in config.search.objectives]
    of_trials = [question for question in questions if question.of == "trials"]
    of_frontiers = [question for question in questions if question.of == "frontiers"]
    return [
        *answer_questions(of_trials, trials),
        *(compare_fronts(question, trials, objectives) for question in of_frontiers),
    ]


def judged_trial(record: TrialRecord, folder: StudyFolder) -> JudgedTrial:
    """A valid trial that people were scored in, with what it is in other samples of them."""
    assert record.score is not None
    spreads = folder.spreads(record.number)
    names = [name for name in record.score.objectives if name in spreads]
    return JudgedTrial(
        number=record.number,
        label=record.label,
        family=record.family,
        sampled=record.sampled,
        values={name: record.score.objectives[name].value for name in names},
        left_out={name: spreads[name].left_out for name in names},
        replicates={name: spreads[name].replicates for name in names},
        trainings=record.trainings,
    )


def _against_baselines(
    folder: StudyFolder, records: list[TrialRecord], trials: list[JudgedTrial], family: str
) -> list[Section]:
    # One expression for every face has some utility and no use: it is a baseline like any other, never our best.
    useless = {record.number for record in records if _collapsed(record) and record.family == family}
    usable = [trial for trial in trials if trial.number not in useless]
    families = sorted({trial.family for trial in usable})
    if family not in families:
        raise ConfigError(
            f"study {folder.name!r} asks no question of its own, and its valid trials are of the family "
            f"{', '.join(families)}: expected {family!r} and others to compare with; name one with --family"
        )
    return [against_baselines(usable, family)] if len(families) > 1 else []


def _collapsed(record: TrialRecord) -> bool:
    return record.score is not None and record.score.expression is not None and record.score.expression.collapsed


def report_values(study: str, sections: list[Section], invalid: dict[str, str]) -> dict[str, Any]:
    """The report as plain values."""
    return {"study": study, "sections": [_plain(section) for section in sections], "invalid": invalid}


def _plain(section: Section) -> dict[str, Any]:
    values = asdict(section)
    for row in values["rows"]:
        for kind in ("values", "differences"):
            row[kind] = {name: item._asdict() for name, item in row[kind].items()}
    return values
