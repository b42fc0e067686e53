"""A study's status for a terminal."""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from veil.driver_state import NodeState
from veil.frontier.hypervolume import sparkline
from veil.status.state import Reason, StudyStatus, UnfinishedTrial
from veil.status.words import moment, numbers, ordinal, plural, span

STYLES = {
    "running": "bold green", "silent": "bold yellow", "killed": "bold red", "interrupted": "bold yellow",
    "failed": "bold red", "finished": "bold green", "valid": "green", "stopped": "yellow", "diverged": "red",
    "invalid": "red", "waiting": "dim",
}  # fmt: skip
NAMES = {"stopped": "stopped early"}
FEW_REASONS, MOST_REASONS = 3, 8
BAR_WIDTH = 40


def status_view(status: StudyStatus, most_rows: int = 50) -> RenderableType:
    """Everything of one study.

    Args:
        status: of the study.
        most_rows: of trials that run, and of nodes; more are counted.
    """
    blocks = [_head(status), _figures(status)]
    for heading, trials in (("running", status.running), ("left unfinished", status.interrupted)):
        if trials:
            blocks.append(_trials(heading, trials, status.looked, most_rows))
    if status.driver is not None and status.driver.nodes and status.state == "running":
        blocks.append(_nodes(status.driver.nodes, most_rows))
    if status.reasons:
        blocks.append(_reasons(status.reasons))
    blocks.append(_links(status))
    spaced = [part for block in blocks for part in (Text(), block)]
    return Padding(Group(*spaced), (0, 1), expand=False)


def studies_view(studies: list[StudyStatus], now: float) -> Table:
    """A line for each study, the last to change first."""
    table = Table("study", "state", "trials", "valid", "hypervolume", "last change", show_edge=False)
    for column in (2, 3, 4):
        table.columns[column].justify = "right"
    for status in sorted(studies, key=lambda status: status.changed or 0.0, reverse=True):
        table.add_row(
            Text(status.study),
            Text(status.state, STYLES[status.state]),
            f"{status.finished} of {status.trials}",
            str(status.outcomes["valid"]),
            f"{status.volume.hypervolume.value:.3f}" if status.volume is not None else "",
            f"{span(now - status.changed)} ago" if status.changed is not None else "",
        )
    return table


def _head(status: StudyStatus) -> RenderableType:
    title = Text.assemble((status.study, "bold"), "  ", (status.state, STYLES[status.state]))
    title.append(f"  {_driver_words(status)}", "dim" if status.state in ("running", "finished") else "default")
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        _bar(status.finished, status.trials, BAR_WIDTH),
        Text(f"{status.finished} of {status.trials} trials"),
    )
    counts = [(NAMES.get(state, state), count, STYLES.get(state, "red")) for state, count in status.outcomes.items()]
    counts += [
        ("running", len(status.running), "cyan"),
        ("left unfinished", len(status.interrupted), "yellow"),
        ("waiting" + (f", {status.queued} for resources" if status.queued else ""), status.waiting, "dim"),
    ]
    words = Text("   ").join(Text.assemble((str(n), "bold"), " ", (name, style)) for name, n, style in counts if n)
    return Group(title, bar, words)


def _driver_words(status: StudyStatus) -> str:
    driver, now = status.driver, status.looked
    # Without an address, a study of a cluster would go on where the command is typed alone.
    joined = f" --address {driver.joined}" if driver is not None and driver.joined is not None else ""
    resume = f"`veil resume {status.study} --root {Path(status.folder).parent}{joined}`"
    if driver is None:
        return "" if status.state == "finished" else f"{resume} goes on"
    who = f"process {driver.process} on {driver.host}"
    if status.state == "running":
        return f"for {span(now - driver.started)}, by {who}"
    if status.state == "silent":
        return f"the driver ({who}) has not written for {span(now - driver.updated)}; if it is gone, {resume} goes on"
    if status.state == "killed":
        return f"the driver ({who}) is gone since {moment(driver.updated, now)}; {resume} goes on"
    when = moment(driver.updated, now)
    if status.state == "failed":
        return f"at {when}: {driver.error}"
    return f"at {when}" + ("" if status.state == "finished" else f"; {resume} goes on")


def _figures(status: StudyStatus) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    if status.state in ("running", "silent"):
        table.add_row("end", _end(status))
    if status.unmet is not None:
        table.add_row("resources", Text(status.unmet, "yellow"))
    if (volume := status.volume) is not None:
        value = volume.hypervolume
        ends = f" [{value.low:.3f}, {value.high:.3f}]" if value.low < value.high else ""
        since = (
            "the last trial" if volume.trials_since == 0 else f"{plural(volume.trials_since, 'trial')} before the last"
        )
        improved = f"  last raised by #{volume.improved_by}, {since}" if volume.improved_by is not None else ""
        table.add_row("hypervolume", Text.assemble((f"{value.value:.3f}", "bold"), ends, (improved, "dim")))
        first = next((reached for reached in volume.history if reached > 0), 0.0)
        if first < value.value:
            growth = sparkline([max(reached - first, 0.0) for reached in volume.history], BAR_WIDTH)
            table.add_row("", Text.assemble(f"{first:.3f} ", (growth, "cyan"), f" {value.value:.3f}"))
    return table


def _end(status: StudyStatus) -> Text:
    pace, now = status.pace, status.looked
    if pace is None:
        return Text("unknown before two trials of this run have finished", "dim")
    return Text.assemble(
        f"about {moment(pace.end, now)}" if pace.end > now else "any moment",
        f", in {span(pace.end - now)}" if pace.end > now else "",
        (f"  if trials go on to finish as the last {pace.counted} did, {pace.trials_per_hour:.3g} an hour", "dim"),
    )


def _trials(heading: str, trials: tuple[UnfinishedTrial, ...], now: float, most: int) -> RenderableType:
    table = Table(heading, "method", "host", "images seen", "rank at rung", "for", show_edge=False)
    for column in table.columns:
        column.no_wrap = column.header not in ("method", "rank at rung")
    for trial in trials[:most]:
        table.add_row(
            Text.assemble(
                f"#{trial.number}", (f" {ordinal(trial.attempt)} try" if trial.attempt > 1 else "", "yellow")
            ),
            _one_line(trial.label or ""),
            Text(trial.host or ""),
            _images(trial),
            _one_line(_rung(trial)),
            span(now - trial.started),
        )
    if len(trials) > most:
        table.add_row(f"… {len(trials) - most} more")
    return table


def _one_line(text: str) -> Text:
    """Text that is cut where its column ends."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def _images(trial: UnfinishedTrial) -> Text:
    if trial.images_seen is None:
        return Text("")
    return Text(f"{trial.images_seen:,}" + (f" of {trial.images:,}" if trial.images else ""))


def _rung(trial: UnfinishedTrial) -> str:
    rung = trial.rung
    if rung is None:
        return ""
    rank = f"{rung.rank} of {rung.of} at " if rung.rank is not None else ""
    return f"{rank}{rung.images:,}{', control' if rung.verdict == 'control' else ''}"


def _nodes(nodes: tuple[NodeState, ...], most: int) -> Table:
    with_gpus = any(node.gpus for node in nodes)
    table = Table("node", "cores in use", *(["GPUs in use"] if with_gpus else []), "memory", show_edge=False)
    for node in nodes[:most]:
        gpus = [_use(node.gpus_used, node.gpus)] if with_gpus else []
        table.add_row(Text(node.host), _use(node.cpus_used, node.cpus), *gpus, _memory(node))
    if len(nodes) > most:
        table.add_row(f"… {len(nodes) - most} more")
    if len(nodes) > 1:
        gpus = [_use(sum(node.gpus_used for node in nodes), sum(node.gpus for node in nodes))] if with_gpus else []
        cpus = _use(sum(node.cpus_used for node in nodes), sum(node.cpus for node in nodes))
        table.add_section()
        table.add_row(f"{len(nodes)} nodes", cpus, *gpus, "")
    return table


def _use(used: float, total: float) -> RenderableType:
    if not total:
        return Text("none", "dim")
    grid = Table.grid(padding=(0, 1))
    grid.add_row(_bar(used, total, 10), f"{used:g} of {total:g}")
    return grid


def _bar(part: float, whole: float, width: int) -> ProgressBar:
    return ProgressBar(total=whole, completed=part, width=width, complete_style="cyan", finished_style="green")


def _memory(node: NodeState) -> str:
    if node.memory_used_bytes is None:
        return f"{node.memory_bytes / 1e9:.1f} GB"
    return f"{node.memory_used_bytes / 1e9:.1f} of {node.memory_bytes / 1e9:.1f} GB"


def _reasons(reasons: tuple[Reason, ...]) -> RenderableType:
    few = len(reasons) <= FEW_REASONS
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column(style="dim", no_wrap=True)
    for reason in reasons[:MOST_REASONS]:
        state = Text(NAMES.get(reason.state, reason.state), STYLES[reason.state])
        # Few reasons are told in full; of many, each gets a line.
        text = Text(reason.text) if few else _one_line(reason.text)
        table.add_row(f"{len(reason.trials)} ×", state, text, numbers(reason.trials, most=4))
    heading = Text("why trials are not valid", "bold")
    if len(reasons) > MOST_REASONS:
        return Group(heading, table, Text(f"and {len(reasons) - MOST_REASONS} more reasons: --json -", "dim"))
    return Group(heading, table)


def _links(status: StudyStatus) -> Table:
    driver, root = status.driver, Path(status.folder).parent
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    if driver is not None and driver.ray_address is not None and status.state == "running":
        dashboard = f"dashboard {driver.dashboard} on {driver.host}" if driver.dashboard else "without a dashboard"
        table.add_row("Ray", Text(f"{driver.ray_address}, {dashboard}"))
    of_study = f"{status.study} --root {root}"
    tracked = f"{status.tracking}, experiment {status.study}" if status.tracking else f"veil ui {of_study}"
    table.add_row("MLflow", Text(tracked))
    if status.finished:
        command = {"anonymizers": "frontier", "attackers": "robustness", "detectors": "sensitivity"}[status.compares]
        table.add_row(command, Text(f"veil {command} {of_study} --open"))
    return table
