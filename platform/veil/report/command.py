"""`veil report`: the answers of a study in the terminal, and its report as a page and as PDF."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from veil.atomic import replace_when_complete
from veil.errors import TrackingError
from veil.records import TrialRecord
from veil.report.answers import print_answers, study_sections
from veil.report.evidence import REPORT_RUN, Evidence
from veil.report.material import Material
from veil.report.page import render_report
from veil.report.pdf import find_browser, print_pdf
from veil.reporting import study_kind
from veil.sealed import registrations, sealed_looks
from veil.study import StudyFolder
from veil.tracking.runs import StudyRuns, attach_report, contradictions, keep_report, read_runs

PAGE, PDF = "report.html", "report.pdf"


class Written(NamedTuple):
    """Files of a report.

    Attributes:
        page: HTML.
        pdf: the same as PDF; None if nobody asked for it.
    """

    page: Path
    pdf: Path | None


def report_study(
    folder: StudyFolder, family: str, console: Console, json_file: Path | None = None, pdf: bool = False
) -> Written:
    """Print what a study answers, and write its report into the study folder.

    What the report computes is kept in an MLflow run of its own below the study's, with the page.

    Args:
        folder: of the study.
        family: the proposed family of methods, where the study asks nothing of its own.
        console: where to print.
        json_file: file for the numbers of the answers.
        pdf: whether to print the page as PDF too.

    Raises:
        ConfigError: the study does not exist or has no trials to compare, or a PDF is asked for and no browser is
            there to make it.
        ProtocolError: trials were scored on different people.
        TrackingError: MLflow cannot be reached, lacks a trial, or contradicts a record.
    """
    config = folder.config()
    browser = find_browser() if pdf else None
    kind = study_kind(folder)
    sections = study_sections(config, folder, kind, family)
    print_answers(config, folder, sections, console, json_file)
    records, runs = folder.records(), read_runs(config)
    check_mirrored(records, runs, f"veil resume {config.study} --root {config.root}")
    material = Material(
        folder=folder,
        config=config,
        manifest=folder.manifest(),
        kind=kind,
        records=records,
        sections=sections,
        looks=sealed_looks(folder),
        registrations=registrations(folder),
        evidence=Evidence(runs),
    )
    html = render_report(material)
    run = keep_report(runs, material.evidence.computed)
    page = folder.path / PAGE
    with replace_when_complete(page) as temporary:
        temporary.write_text(html.replace(REPORT_RUN, run), encoding="utf-8")
    attach_report(runs, run, page)
    if browser is None:
        return Written(page, None)
    print_pdf(page, folder.path / PDF, browser)
    return Written(page, folder.path / PDF)


def check_mirrored(records: Sequence[TrialRecord], runs: StudyRuns, remedy: str) -> None:
    """Refuse a report whose numbers MLflow does not hold.

    Args:
        records: finished trials.
        runs: what MLflow holds.
        remedy: command that mirrors what is missing.

    Raises:
        TrackingError: a trial has no run, or its run says something else than its record.
    """
    missing = [str(record.number) for record in records if record.number not in runs.trials]
    if missing:
        raise TrackingError(f"MLflow at {runs.uri} holds no run of trial {', '.join(missing)}; `{remedy}` mirrors them")
    for record in records:
        run = runs.trials[record.number]
        if found := contradictions(record, run):
            raise TrackingError(
                f"trial {record.number} and its MLflow run {run.info.run_id} contradict each other: {found[0]}; one of "
                "the two was changed after the sweep, and a report would vouch for neither"
            )
