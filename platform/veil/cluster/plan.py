"""A dry run: what a cluster's file would start, where everything lies, and the commands that follow."""

import shlex
from pathlib import Path

from rich.console import Console
from rich.table import Table

from veil.cluster.definition import ClusterDefinition, NodeType
from veil.config import StudyConfig
from veil.errors import ConfigError

MLFLOW_PORT = "mlflow"
"""Name of MLflow's tunnel in `metadata.veil.tunnels`; only a cluster with that tunnel has an MLflow server."""


def study_on_cluster(cluster: ClusterDefinition, config: StudyConfig) -> tuple[StudyConfig, list[str]]:
    """A study's settings as they must be on a cluster: in its storage, and logged to its server.

    Returns:
        The settings, and what to say to `--set` to get them.
    """
    changed = []
    storage, port = cluster.settings.storage, cluster.settings.tunnels.get(MLFLOW_PORT)
    if not config.root.is_relative_to(storage):
        config = config.model_copy(update={"root": storage / "studies"})
        changed.append(f"root={config.root}")
    if port is not None and config.tracking.uri is None:
        tracking = config.tracking.model_copy(update={"uri": f"http://127.0.0.1:{port}"})
        config = config.model_copy(update={"tracking": tracking})
        changed.append(f"tracking.uri={tracking.uri}")
    return config, changed


def path_on_head(file: Path, cluster: ClusterDefinition) -> Path:
    """Where the sweep finds a study's file, from the head and as a job: in its copy of this folder, or in the storage.

    Raises:
        ConfigError: nowhere.
    """
    absolute, here = file.resolve(), Path.cwd()
    if absolute.is_relative_to(cluster.settings.storage):
        return absolute
    if not absolute.is_relative_to(here):
        raise ConfigError(
            f"the head would not find {file}: it gets a copy of this folder ({here}), and nothing else; copy the file "
            "into this folder and name that one"
        )
    return absolute.relative_to(here)


def nodes_for_trials(cluster: ClusterDefinition, config: StudyConfig) -> list[NodeType]:
    """Kinds of worker that can hold a trial, or one of its training workers.

    Raises:
        ConfigError: none can; the trials would wait forever.
    """
    needed = {"CPU": config.search.cpus_per_trial, "GPU": config.search.gpus_per_trial}
    workers = cluster.nodes[1:]
    fitting = [
        node
        for node in workers
        if node.resources is None or all(node.resources.get(name, 0) >= count for name, count in needed.items())
    ]
    if not fitting:
        offered = "; ".join(f"{node.name} {_resources(node)}" for node in workers)
        raise ConfigError(
            f"a trial of study {config.study!r} needs {_needs(config)}, which no node "
            f"of {cluster.path} offers ({offered}); change search.cpus_per_trial and search.gpus_per_trial"
        )
    return fitting


def print_plan(cluster: ClusterDefinition, config: StudyConfig, source: list[str], console: Console) -> None:
    """Print what would be started, where data, databases and logs lie, and the commands in their order.

    Args:
        cluster: what was read.
        config: study that is to run there.
        source: options that name this study on the command line.
        console: where to print.

    Raises:
        ConfigError: no node can hold a trial of the study.
    """
    fitting = nodes_for_trials(cluster, config)
    study, changed = study_on_cluster(cluster, config)
    console.print(f"{cluster.path} keeps Ray's schema. Nothing was started. `ray up` would start {cluster.name!r}:\n")
    console.print(_nodes_table(cluster))
    # Ray keeps machines of one's own, and gives rented ones back.
    idle = "" if cluster.provider == "local" else f"; idle ones end after {cluster.idle_minutes:g} minutes"
    console.print(f"\nat most {cluster.max_workers} workers{idle}")
    console.print(f"{_fit(config, fitting)}\n")
    console.print(_places_table(cluster, study))
    overrides = [word for setting in changed for word in ("--set", setting)]
    sweep = shlex.join(["sweep", *source, *overrides, "--address", "auto"])
    for heading, commands in _commands(cluster, study, sweep).items():
        console.print(f"\n[bold]{heading}[/bold]")
        for command in commands:
            console.print(f"  {command}", highlight=False, soft_wrap=True, markup=False)


def _fit(config: StudyConfig, fitting: list[NodeType]) -> str:
    if any(node.resources is not None for node in fitting):
        return f"a trial of study {config.study!r} fits {', '.join(node.name for node in fitting)}"
    # Nobody knows what machines of one's own offer before they are asked.
    return f"a trial of study {config.study!r} needs {_needs(config)} of one machine; see that yours have as much"


def _needs(config: StudyConfig) -> str:
    cores, gpus = config.search.cpus_per_trial, config.search.gpus_per_trial
    return f"{cores} CPUs and {gpus:g} GPUs"


def _nodes_table(cluster: ClusterDefinition) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("node", "how many", "machine", "offers", "image"):
        table.add_column(heading, overflow="fold")
    for node in cluster.nodes:
        table.add_row(node.name, node.count, node.machine, _resources(node), node.image or "none: on the machine")
    return table


def _resources(node: NodeType) -> str:
    if node.resources is None:
        return "nothing" if node.name == "head" else "what Ray finds"
    return ", ".join(f"{count} {name}" for name, count in node.resources.items() if count) or "nothing"


def _places_table(cluster: ClusterDefinition, study: StudyConfig) -> Table:
    storage = cluster.settings.storage
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_row("shared by all nodes", str(storage))
    table.add_row("faces and weights", str(storage / "cache"))
    table.add_row("study and checkpoints", str(study.folder))
    table.add_row("Optuna's journal", f"{study.folder / 'optuna.log'}, written by the head alone")
    if MLFLOW_PORT in cluster.settings.tunnels:
        table.add_row("MLflow", f"{study.tracking.uri} on the head; {storage / 'mlflow.db'}, {storage / 'mlartifacts'}")
    else:
        table.add_row("MLflow", study.tracking.uri or str(study.root / "mlflow.db"))
    return table


def _commands(cluster: ClusterDefinition, study: StudyConfig, sweep: str) -> dict[str, list[str]]:
    settings, file = cluster.settings, cluster.path
    named = shlex.join([study.study, "--root", str(study.root)])
    token = Path.home() / ".ray" / "auth_token"
    first = [] if token.is_file() else ["ray get-auth-token --generate"]
    tunnels = {port: name for name, port in settings.tunnels.items()}
    if cluster.head_address is not None:
        forwarded = " ".join(f"-L {port}:127.0.0.1:{port}" for port in tunnels)
        tunnel = f"ssh -N {forwarded} {cluster.user}@{cluster.head_address}"
    else:
        tunnel = f"ray attach {file} {' '.join(f'-p {port}' for port in tunnels)}"
    asks = {"dashboard": f", which asks for the token in {token}"}
    pages = [f"http://127.0.0.1:{port}  {name}{asks.get(name, '')}" for port, name in tunnels.items()]
    dashboard = f"http://127.0.0.1:{settings.tunnels.get('dashboard', 8265)}"
    # The job runs the code of this folder, which Ray uploads; what it needs beside is in the environment of the head.
    job = f"--working-dir . -- env PYTHONPATH=platform:. veil {sweep}"
    return {
        "start": [*first, f"ray up {file}"],
        "sweep, from the head": [f"ray exec {file} {shlex.quote(f'cd ~/veil && veil {sweep}')} --tmux"],
        "tunnels, in a terminal of their own": [tunnel, *pages],
        "or sweep, from here through the tunnel": [f"RAY_AUTH_MODE=token ray job submit --address {dashboard} {job}"],
        "look on, while it runs and after": [
            f"ray attach {file} --tmux  # what the sweep prints",
            f"ray exec {file} {shlex.quote(f'veil status {named}')}",
            f"ray exec {file} {shlex.quote(f'veil frontier {named}')}",
            f"ray rsync-down {file} {study.folder}/frontier.html {study.study}.html",
        ],
        "go on, should it have been stopped": [
            f"ray exec {file} {shlex.quote(f'veil resume {named} --address auto')} --tmux"
        ],
        "stop": [f"ray down {file}"],
    }
