"""A study for people: its frontier, curves or comparison as a table and a page, and where its time went."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from veil.config import StudyConfig
from veil.errors import ConfigError
from veil.frontier.comparison import compare_with, comparison_table
from veil.frontier.hypervolume import frontier_hypervolume, sparkline
from veil.frontier.importance import importance_table
from veil.frontier.overview import Overview
from veil.frontier.page import write_page
from veil.frontier.points import FrontierPoint, Interval
from veil.frontier.robustness import RobustnessPoint, robustness_table
from veil.frontier.robustness_page import write_robustness_page
from veil.frontier.sensitivity import SensitivityPoint, compare_detectors, sensitivity_table
from veil.frontier.sensitivity_page import write_sensitivity_page
from veil.frontier.table import frontier_table
from veil.objectives import Objective, get_objective
from veil.overview import study_overview, trial_ties
from veil.points import compared, frontier_point, robustness_point, sampled_trial, sensitivity_point
from veil.records import StudyKind, TrialRecord
from veil.study import StudyFolder
from veil.volume import trial_hypervolume


def study_objectives(config: StudyConfig) -> list[Objective]:
    """Objectives of a study, in order."""
    return [get_objective(name) for name in config.search.objectives]


def study_points(folder: StudyFolder) -> list[FrontierPoint]:
    """Every finished trial as a point, but for those that compare attackers or detectors instead of anonymizers."""
    return [frontier_point(record) for record in folder.records() if record.compares == "anonymizers"]


def study_hypervolume(config: StudyConfig, folder: StudyFolder) -> float:
    """Hypervolume of the study's valid trials with the objectives' fixed reference point."""
    return frontier_hypervolume(study_points(folder), study_objectives(config))


def study_ties(config: StudyConfig, folder: StudyFolder) -> frozenset[int] | None:
    """Trials that only noise keeps off the frontier; None where a valid trial has no people, as on synthetic problems.

    Raises:
        ProtocolError: two trials were scored on different people.
    """
    ties = trial_ties(_valid(folder, "anonymizers"), folder, study_objectives(config))
    return ties.trials if ties is not None else None


def write_frontier_page(
    config: StudyConfig, folder: StudyFolder, pictures: bool = True, overview: Overview | None = None
) -> Path:
    """Write the study's frontier page and return its path.

    Args:
        config: of the study.
        folder: of the study.
        pictures: whether the page shows a few faces of each trial.
        overview: of all trials, where it is known already.
    """
    overview = overview or study_overview(config, folder)
    thumbnails = {point.trial: folder.thumbnail(point.trial) for point in overview.points} if pictures else {}
    return write_page(
        folder.page_path,
        overview.points,
        config.study,
        overview.objectives,
        overview.tied,
        {trial: thumbnail for trial, thumbnail in thumbnails.items() if thumbnail is not None},
        overview.importance,
        overview.savings,
    )


def study_kind(folder: StudyFolder) -> StudyKind:
    """What a study compares, as far as its finished trials tell."""
    return compared(folder.records())


def study_page(folder: StudyFolder) -> Path:
    """Where the page lies that shows what the study is about."""
    return {
        "anonymizers": folder.page_path,
        "attackers": folder.robustness_path,
        "detectors": folder.sensitivity_path,
    }[study_kind(folder)]


def write_study_page(config: StudyConfig, folder: StudyFolder) -> Path:
    """Write that page and return its path."""
    write = {
        "anonymizers": write_frontier_page,
        "attackers": write_curves_page,
        "detectors": write_detectors_page,
    }[study_kind(folder)]
    return write(config, folder)


def print_study(config: StudyConfig, folder: StudyFolder, console: Console) -> None:
    """The table that shows what the study is about."""
    show = {
        "anonymizers": print_frontier,
        "attackers": print_robustness,
        "detectors": print_sensitivity,
    }[study_kind(folder)]
    show(config, folder, console)


def write_curves_page(config: StudyConfig, folder: StudyFolder) -> Path:
    """Write the page of a study of attackers and return its path."""
    return write_robustness_page(
        folder.robustness_path, _robustness_points(folder), config.study, config.suite.far, _reasons(folder)
    )


def write_detectors_page(config: StudyConfig, folder: StudyFolder) -> Path:
    """Write the page of a study of detectors and return its path."""
    compared = compare_detectors(_sensitivity_points(folder), config.data.detector, config.data.splits.search)
    return write_sensitivity_page(
        folder.sensitivity_path, compared, config.study, config.data.detector, config.suite.far, _reasons(folder)
    )


def print_robustness(config: StudyConfig, folder: StudyFolder, console: Console) -> None:
    """Leak against strength, one section a curve, then the trials that are not valid.

    Raises:
        ConfigError: the study varies no attacker.
    """
    _require(folder, "attackers", "was judged at a strength of its own")
    title = f"study {config.study}: {len(folder.records())} trials"
    console.print()
    console.print(robustness_table(_robustness_points(folder), config.suite.far, title))
    _print_reasons(folder, console)


def print_sensitivity(config: StudyConfig, folder: StudyFolder, console: Console) -> None:
    """What depends on the detector, one section an anonymizer, then the trials that are not valid.

    Raises:
        ConfigError: the study varies no detector.
    """
    _require(folder, "detectors", "was judged on crops of its own")
    title = f"study {config.study}: {len(folder.records())} trials"
    points = _sensitivity_points(folder)
    console.print()
    console.print(sensitivity_table(points, config.data.detector, config.data.splits.search, title))
    _print_reasons(folder, console)


def _require(folder: StudyFolder, kind: StudyKind, judged: str) -> None:
    preset = "smoke" if kind == "anonymizers" else kind
    if study_kind(folder) != kind:
        raise ConfigError(
            f"no trial of study {folder.name!r} {judged}; see `veil frontier`, or start a study of {kind}: "
            f"veil sweep --preset {preset}"
        )


def _robustness_points(folder: StudyFolder) -> list[RobustnessPoint]:
    return [
        robustness_point(record)
        for record in folder.records()
        if record.compares == "attackers" and record.state == "valid"
    ]


def _sensitivity_points(folder: StudyFolder) -> list[SensitivityPoint]:
    return [sensitivity_point(record, folder.spreads(record.number)) for record in _valid(folder, "detectors")]


def _valid(folder: StudyFolder, kind: StudyKind) -> list[TrialRecord]:
    return [record for record in folder.records() if record.compares == kind and record.state == "valid"]


def _not_valid(folder: StudyFolder) -> list[TrialRecord]:
    return [record for record in folder.records() if record.state != "valid"]


def _reasons(folder: StudyFolder) -> dict[str, str]:
    return {f"trial {record.number}, {record.label}": record.reason or "" for record in _not_valid(folder)}


def _print_reasons(folder: StudyFolder, console: Console) -> None:
    for record in _not_valid(folder):
        console.print(Text.assemble((f"✗ trial {record.number} ", "red"), f"{record.label}: {record.reason}"))


def study_hypervolume_interval(config: StudyConfig, folder: StudyFolder) -> Interval:
    """Hypervolume of the study with its interval over resamples of the people; without one where a trial has none."""
    return trial_hypervolume(_valid(folder, "anonymizers"), folder, study_objectives(config))


def print_comparison(config: StudyConfig, folder: StudyFolder, reference: int, console: Console) -> None:
    """Paired differences of all valid trials from one of them.

    Raises:
        ConfigError: the trial is not a valid one of this study.
    """
    trials = {
        record.number: sampled_trial(record, folder.spreads(record.number))
        for record in _valid(folder, "anonymizers")
        if not record.synthetic
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


def print_frontier(config: StudyConfig, folder: StudyFolder, console: Console) -> None:
    """All trials of the study, those on the frontier first, with the hypervolume and the importance of settings."""
    print_overview(study_overview(config, folder), folder, console)


def print_overview(overview: Overview, folder: StudyFolder, console: Console) -> None:
    """Trials in groups of ties, the frontier first, with the hypervolume and the importance of settings."""
    console.print()
    title = f"study {overview.study}: {len(overview.points)} trials"
    console.print(frontier_table(overview.points, overview.objectives, title, overview.tied, overview.groups))
    reference = ", ".join(f"{objective.name} {objective.reference:g}" for objective in overview.objectives)
    volume = overview.volume
    ends = f" [{volume.low:.3f}, {volume.high:.3f}]" if volume.low < volume.high else ""
    console.print(f"hypervolume {volume.value:.3f}{ends} (reference point: {reference})", highlight=False)
    console.print(f"over trials {sparkline(overview.history)}", highlight=False)
    if overview.savings is not None:
        console.print(overview.savings.sentence, highlight=False)
    if overview.importance:
        console.print()
        console.print(importance_table(overview.importance))
    shown = {point.trial for point in overview.points}
    for line in face_counts([record for record in folder.records() if record.number in shown]):
        console.print(line, style="dim", highlight=False)


def face_counts(records: Sequence[TrialRecord]) -> list[str]:
    """What a reader must know of the faces that were judged and trained on, a sentence for each different finding."""
    trials: dict[str, list[int]] = {}
    for record in records:
        if (score := record.score) is not None:
            kinds = {
                "without a face": score.undetected,
                "without landmarks": score.without_landmarks,
                "of low resolution": score.low_resolution,
            }
            found = [f"{count} {kind}" for kind, count in kinds.items() if count]
            if found:
                trials.setdefault(f"faces under attack: {', '.join(found)}", []).append(record.number)
        remarkable = {kind: count for kind, count in record.training_faces.items() if count and kind != "people"}
        if remarkable:
            people = {"people": record.training_faces["people"]} if record.training_faces.get("people") else {}
            counts = {**people, **remarkable}
            words = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items())
            trials.setdefault(f"training faces: {words}", []).append(record.number)
        for note in record.notes:
            trials.setdefault(note, []).append(record.number)
    return [
        line if len(numbers) == len(records) else f"{line} (trial {', '.join(map(str, numbers))})"
        for line, numbers in trials.items()
    ]


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
