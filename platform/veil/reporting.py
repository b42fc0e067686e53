"""A study for people: its frontier or its attackers' curves as a table and a page, and where its time went."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from veil.config import StudyConfig
from veil.errors import ConfigError
from veil.frontier.comparison import SampledTrial, compare_with, comparison_table
from veil.frontier.hypervolume import frontier_hypervolume, resampled_hypervolume
from veil.frontier.page import write_page
from veil.frontier.points import FrontierPoint
from veil.frontier.robustness import robustness_table
from veil.frontier.robustness_page import write_robustness_page
from veil.frontier.table import frontier_table
from veil.metrics.intervals import percentile_interval
from veil.objectives import Objective, get_objective
from veil.study import StudyFolder, TrialRecord, frontier_point, robustness_point


def study_objectives(config: StudyConfig) -> list[Objective]:
    """Objectives of a study, in order."""
    return [get_objective(name) for name in config.search.objectives]


def study_points(folder: StudyFolder) -> list[FrontierPoint]:
    """Every finished trial as a point, but for those judged at a strength of their own, which compare with no other."""
    return [frontier_point(record) for record in folder.records() if not record.strength]


def study_hypervolume(config: StudyConfig, folder: StudyFolder) -> float:
    """Hypervolume of the study's valid trials with the objectives' fixed reference point."""
    return frontier_hypervolume(study_points(folder), study_objectives(config))


def write_frontier_page(config: StudyConfig, folder: StudyFolder) -> Path:
    """Write the study's frontier page and return its path."""
    return write_page(
        folder.page_path, study_points(folder), config.study, study_objectives(config), far=config.suite.far
    )


def studies_attackers(folder: StudyFolder) -> bool:
    """Whether trials of the study were judged at a strength of their own: it has curves of them, and no frontier."""
    return any(record.strength for record in folder.records())


def study_page(folder: StudyFolder) -> Path:
    """Where the page lies that shows what the study is about."""
    return folder.robustness_path if studies_attackers(folder) else folder.page_path


def write_study_page(config: StudyConfig, folder: StudyFolder) -> Path:
    """Write that page and return its path."""
    write = write_curves_page if studies_attackers(folder) else write_frontier_page
    return write(config, folder)


def print_study(config: StudyConfig, folder: StudyFolder, console: Console) -> None:
    """The table that shows what the study is about."""
    show = print_robustness if studies_attackers(folder) else print_frontier
    show(config, folder, console)


def write_curves_page(config: StudyConfig, folder: StudyFolder) -> Path:
    """Write the page of a study of attackers and return its path."""
    return write_robustness_page(
        folder.robustness_path,
        [robustness_point(record) for record in folder.records() if record.strength and record.state == "valid"],
        config.study,
        config.suite.far,
        {f"trial {record.number}, {record.label}": record.reason or "" for record in _not_valid(folder)},
    )


def print_robustness(config: StudyConfig, folder: StudyFolder, console: Console) -> None:
    """Leak against strength, one section a curve, then the trials that are not valid.

    Raises:
        ConfigError: the study varies no attacker.
    """
    if not studies_attackers(folder):
        raise ConfigError(
            f"no trial of study {folder.name!r} was judged at a strength of its own; see `veil frontier`, or start a "
            "study of attackers: veil sweep --preset attackers"
        )
    records = folder.records()
    points = [robustness_point(record) for record in records if record.strength and record.state == "valid"]
    console.print()
    console.print(robustness_table(points, config.suite.far, f"study {config.study}: {len(records)} trials"))
    for record in _not_valid(folder):
        line = Text.assemble((f"✗ trial {record.number} ", "red"), f"{record.label}: {record.reason}")
        console.print(line)


def _hypervolume_interval(folder: StudyFolder, points: Sequence[FrontierPoint], objectives: Sequence[Objective]) -> str:
    """Interval over resamples of the people, for print; nothing where a trial has no people."""
    valid = [point for point in points if point.valid]
    if not valid or any(point.synthetic or not folder.has_spreads(point.trial) for point in valid):
        return ""
    spreads = [folder.spreads(point.trial) for point in valid]
    values_RNM = np.stack(
        [np.stack([spread[objective.name].replicates for objective in objectives], axis=-1) for spread in spreads],
        axis=1,
    )
    people = spreads[0][objectives[0].name].left_out.size
    low, high = percentile_interval(resampled_hypervolume(values_RNM, objectives), n_units=people)
    return f" [{low:.3f}, {high:.3f}]"


def print_comparison(config: StudyConfig, folder: StudyFolder, reference: int, console: Console) -> None:
    """Paired differences of all valid trials from one of them.

    Raises:
        ConfigError: the trial is not a valid one of this study.
    """
    trials = {
        record.number: SampledTrial(
            number=record.number,
            label=record.label,
            values={name: estimate.value for name, estimate in record.objectives.items()},
            left_out={name: spread.left_out for name, spread in folder.spreads(record.number).items()},
        )
        for record in folder.records()
        if record.state == "valid" and not record.synthetic and not record.strength
    }
    if reference not in trials:
        raise ConfigError(
            f"trial {reference} is no valid trial of study {folder.name!r} that people were scored in; "
            f"those are {', '.join(map(str, trials)) or 'none'}"
        )
    chosen = trials.pop(reference)
    objectives = study_objectives(config)
    comparisons = compare_with(chosen, list(trials.values()), objectives)
    console.print(comparison_table(chosen, comparisons, objectives))


def _not_valid(folder: StudyFolder) -> list[TrialRecord]:
    return [record for record in folder.records() if record.state != "valid"]


def print_frontier(config: StudyConfig, folder: StudyFolder, console: Console) -> None:
    """All trials of the study, those on the frontier first, and the hypervolume."""
    points = study_points(folder)
    objectives = study_objectives(config)
    console.print()
    console.print(frontier_table(points, objectives, title=f"study {config.study}: {len(points)} trials"))
    reference = ", ".join(f"{objective.name} {objective.reference:g}" for objective in objectives)
    volume = frontier_hypervolume(points, objectives)
    interval = _hypervolume_interval(folder, points, objectives)
    console.print(f"hypervolume {volume:.3f}{interval} (reference point: {reference})", highlight=False)


def print_times(records: Sequence[TrialRecord], wall_seconds: Mapping[str, float], console: Console) -> None:
    """Where the time of a sweep went: wall time of its parts, and the trials' own parts summed.

    Args:
        records: finished trials.
        wall_seconds: wall time by part of the run that just ended.
        console: where to print.
    """
    summed: dict[str, float] = {}
    for record in records:
        for part, seconds in record.seconds.items():
            summed[part] = summed.get(part, 0.0) + seconds
    table = Table("where time went", "seconds", title_justify="left", show_edge=False)
    table.columns[1].justify = "right"
    for part, seconds in wall_seconds.items():
        table.add_row(f"{part}, wall", f"{seconds:.0f}")
    for part, seconds in sorted(summed.items(), key=lambda item: -item[1]):
        name = "all of it" if part == "total" else part
        table.add_row(f"  {name}, summed over {len(records)} trials", f"{seconds:.0f}")
    console.print()
    console.print(table)
    peak = max((record.peak_memory_bytes for record in records), default=0)
    console.print(f"largest trial process: {peak / 1e9:.1f} GB", highlight=False)
