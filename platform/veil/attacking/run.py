"""Runs the ladder on a source and writes what a person keeps of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from veil.assets import cache_folder
from veil.atomic import replace_when_complete, require_writable
from veil.attacking.card import print_card
from veil.attacking.figures import best_ways, curve_key
from veil.attacking.page import render_page
from veil.attacking.sources import Source
from veil.config import SuiteConfig
from veil.errors import ConfigError
from veil.faces.prepare import Progress as Counted
from veil.faces.table import tensor_to_images
from veil.protocol.evaluation import Evaluation, Judge
from veil.protocol.full_ladder import full_ladder
from veil.protocol.jobs import AttackJob, AttackResult
from veil.protocol.judging import assemble_judge
from veil.protocol.pictures import cmc_figure, roc_figure
from veil.registry import attackers, recognizers

CONTROL = "control"
MOST_FACES = 8
PAGE = "attack.html"


@dataclass(frozen=True)
class Plan:
    """What is asked of an attack, checked before anything is loaded.

    Attributes:
        attackers: registered attackers; empty takes the suite's own if it names any, or the full ladder.
        recognizers: registered recognizers; empty takes those of the roles `search` and `report`.
        json: file for the score card; None writes none.
        out: folder for the page, its figures and the score card; None writes none.
        pictures: show faces in the page, and keep what attackers reconstruct of them.
    """

    attackers: tuple[str, ...] = ()
    recognizers: tuple[str, ...] = ()
    json: Path | None = None
    out: Path | None = None
    pictures: bool = False

    def check(self) -> None:
        """Refuse what would fail only after the attack.

        Raises:
            ConfigError: an attacker or recognizer is unknown, or pictures have no folder.
            DataError: a file or folder cannot be written.
        """
        for name in self.attackers:
            attackers.get(name)
        for name in self.recognizers:
            recognizers.get(name)
        if self.pictures and self.out is None:
            raise ConfigError("--pictures needs a folder: add --out FOLDER")
        if self.json is not None:
            require_writable(self.json.parent)
        if self.out is not None:
            require_writable(self.out)


def chosen_suite(suite: SuiteConfig, chosen: Sequence[str]) -> SuiteConfig:
    """The suite with the attackers asked for, the control always among them, in ladder order.

    Args:
        suite: FAR, statistics and strength; its attackers count where they were set on purpose.
        chosen: registered attackers; empty asks for none in particular.
    """
    if chosen:
        names = tuple(name for name in full_ladder() if name in {CONTROL, *chosen})
    else:
        names = suite.attackers if "attackers" in suite.model_fields_set else full_ladder()
    idle = set(full_ladder()) - set(names)
    strength = {name: settings for name, settings in suite.strength.items() if name not in idle}
    return suite.model_copy(update={"attackers": names, "strength": strength})


def attack(open_source: Callable[[Counted], Source], plan: Plan, console: Console) -> Evaluation:
    """Open a source, attack it, print its score card and write what was asked for.

    Args:
        open_source: opens what is attacked; is given a callback for its progress.
        plan: how.
        console: where progress and score card go.

    Returns:
        the evaluation; its score may be invalid.

    Raises:
        VeilError: a setting, the source or an asset cannot be used; nothing was attacked.
    """
    plan.check()
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console,
        transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("preparing faces", total=None)
        source = open_source(lambda done, total: bar.update(task, completed=done, total=total))
        bar.reset(task, description="loading models", total=None)

        def run_shown(jobs: Sequence[AttackJob]) -> list[AttackResult]:
            bar.reset(task, total=len(jobs))
            results = []
            for job in jobs:
                verb = "rehearsing" if job.setting.rehearsal else "attacking"
                bar.update(task, description=f"{verb}: {job.rung} {job.attacker} with {job.recognizer}")
                results.append(job.run())
                bar.advance(task)
            bar.update(task, description="measuring")
            return results

        judge = open_attack_judge(source, plan, run_shown)
        evaluation = source.score(judge)
    far = judge.suite.far
    print_card(evaluation.score, far, source.label, source.notes, console)
    if plan.json is not None:
        _write_text(plan.json, evaluation.score.model_dump_json(indent=2))
    if plan.out is not None:
        write_outputs(plan.out, source, evaluation, far, plan.pictures)
        console.print(f"page   {plan.out / PAGE}", highlight=False)
    return evaluation


def open_attack_judge(
    source: Source, plan: Plan, run_attacks: Callable[[Sequence[AttackJob]], list[AttackResult]]
) -> Judge:
    """Judge of a source's people by all recognizers that had no part in making it.

    Raises:
        ProtocolError: a recognizer asked for was inside the loss.
        AssetError: a model's weights cannot be had.
    """
    roles, suite = source.config.roles, chosen_suite(source.config.suite, plan.attackers)
    names = plan.recognizers or tuple(dict.fromkeys((*roles.search, *roles.report)))
    config = source.config.model_copy(update={"suite": suite})
    cache, faces = cache_folder() / "attacks", source.faces
    return assemble_judge(
        config, names, source.proxies, faces.people, "search", cache, run_attacks=run_attacks, extra=faces.extra
    )


def write_outputs(folder: Path, source: Source, evaluation: Evaluation, far: float, pictures: bool) -> None:
    """Write the page, ROC and CMC as pictures, the score card, and, where asked for, reconstructed faces.

    Raises:
        DataError: the folder cannot be written.
    """
    score = evaluation.score
    faces = _example_faces(source, evaluation) if pictures else None
    page = render_page(score, evaluation.curves, evaluation.cmc, far, source.label, source.notes, faces)
    _write_text(folder / PAGE, page)
    _write_text(folder / "score.json", score.model_dump_json(indent=2))
    drawn = [curve_key(rung) for rung in best_ways(score.rungs)]
    if drawn:
        for name, figure in (
            ("roc.png", roc_figure({key: evaluation.curves[key] for key in drawn}, far)),
            ("cmc.png", cmc_figure({key: evaluation.cmc[key] for key in drawn})),
        ):
            with replace_when_complete(folder / name) as temporary:
                figure.savefig(temporary, dpi=110)
    if pictures:
        _write_reconstructions(folder / "reconstructions", source, evaluation)


def _write_text(path: Path, text: str) -> None:
    with replace_when_complete(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _write_reconstructions(folder: Path, source: Source, evaluation: Evaluation) -> None:
    image_ids = source.faces.people.split("search").image_ids
    for name, images in evaluation.reconstructions.items():
        for image_id, image in zip(image_ids, tensor_to_images(images), strict=True):
            path = (folder / name / image_id).with_suffix(".png")
            with replace_when_complete(path) as temporary:
                Image.fromarray(image.transpose(1, 2, 0)).save(temporary)


def _example_faces(source: Source, evaluation: Evaluation) -> dict[str, NDArray[np.uint8]]:
    """One face of each of the first people: original, anonymized, and as each attacker reconstructs it."""
    target = source.faces.people.split("search")
    first = np.sort(np.unique(target.identity_indices, return_index=True)[1])[:MOST_FACES]
    rows = {"original": target.crops[first]}
    if len(evaluation.anonymized_target):
        rows["anonymized"] = tensor_to_images(evaluation.anonymized_target[first])
    for name, images in evaluation.reconstructions.items():
        rows[name] = tensor_to_images(images[first])
    return rows
