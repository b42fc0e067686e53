"""The report as one self-contained HTML page, from the templates beside it."""

import time
from typing import Any

import plotly.graph_objects as go
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from veil import __version__
from veil.frontier.figures import embed
from veil.records import StudyKind
from veil.report.chapters import answer_rows, look_rows, methods
from veil.report.evidence import REPORT_RUN
from veil.report.failures import MOST_ROWS as MOST_FAILURES
from veil.report.failures import failure_rows, people_figure, picture, repeated_failures, trials_with_people
from veil.report.findings import EQUAL, LEVEL
from veil.report.forest import forest_figures
from veil.report.ladder import MOST_ROWS, ladder_rows, rung_rows
from veil.report.material import Material
from veil.report.results import hypervolume, main_figure, result_rows
from veil.reporting import face_counts

CHAPTERS = {
    "question": "Question",
    "method": "Method",
    "data": "Data",
    "threat": "Threat model",
    "ladder": "Results of the attack ladder",
    "results": "Results",
    "answers": "Answers",
    "points": "Operating points on sealed people",
    "failures": "Failure cases",
    "limits": "Limits, and what was not tested",
    "use": "Responsible use",
    "provenance": "Environment and hashes",
}
"""Templates in the order of the chapters, with their headings."""

RESULTS: dict[StudyKind, str] = {
    "anonymizers": "The frontier, with baselines",
    "attackers": "Leak against the strength of attackers",
    "detectors": "Scores under each detector",
}
"""Heading of the results by what a study compares."""

PRIVATE: dict[str, Any] = {"root": True, "tracking": True, "data": {"root": True, "extra": {"__all__": {"root"}}}}
"""Settings that say where files lie on one machine, which a report that is passed on need not tell."""


def render_report(material: Material) -> str:
    """HTML of the report; it needs no network and no other file.

    What it computes is then in `material.evidence.computed`; the run that shall hold it goes by `REPORT_RUN`.
    """
    templates = Environment(
        loader=PackageLoader("veil.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["breakable"] = _breakable
    return templates.get_template("page.html").render(_context(material))


def _context(material: Material) -> dict[str, Any]:
    evidence = material.evidence
    anonymizers = material.kind == "anonymizers"
    shown = material.knee or next(iter(material.best), None)
    has_people = bool(trials_with_people(material))
    return {
        "study": material,
        "number": evidence.number,
        "interval": evidence.interval,
        "setting": evidence.setting,
        "run_of": evidence.trial,
        "sweep_run": evidence.link(evidence.runs.sweep.info.run_id),
        "report_run": evidence.link(REPORT_RUN),
        "runs": evidence.runs,
        "chapters": CHAPTERS | {"results": RESULTS[material.kind]},
        "plotly_js": Markup(get_plotlyjs()),
        "version": __version__,
        "written": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "methods": methods(material),
        "face_counts": face_counts(material.records),
        "ladder": ladder_rows(material),
        "most_rows": MOST_ROWS,
        "shown": shown,
        "rungs": rung_rows(material, shown.trial) if shown is not None else [],
        "main_figure": _figure(main_figure(material), "main"),
        "results": result_rows(material),
        "hypervolume": hypervolume(material) if anonymizers else None,
        "answers": [(section, answer_rows(material, section)) for section in material.sections],
        "forests": [
            _figure(figure, f"forest-{index}") for index, figure in enumerate(forest_figures(material.sections))
        ],
        "equal": EQUAL,
        "level": LEVEL,
        "looks": look_rows(material),
        "failures": failure_rows(material),
        "most_failures": MOST_FAILURES,
        "repeated": repeated_failures(material) if has_people else None,
        "people_figure": _figure(people_figure(material), "people") if has_people else None,
        "picture": picture(material, shown.trial) if shown is not None else None,
        "settings": yaml.safe_dump(
            material.config.model_dump(mode="json", exclude=PRIVATE), sort_keys=False, allow_unicode=True
        ),
        "seconds": sum(sum(record.seconds.values()) for record in material.records),
        "peak_bytes": max(record.peak_memory_bytes for record in material.records),
    }


def _breakable(path: str) -> Markup:
    """A path such as "informed/open_set/parrot" that a line may break after each part of."""
    return Markup("/<wbr>").join(path.split("/"))


def _figure(figure: go.Figure, name: str) -> Markup:
    """HTML of a figure for a page that has plotly.js inside."""
    return Markup(embed(figure, f"figure-{name}"))
