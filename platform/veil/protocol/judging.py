"""From a study's configuration to its judge: which models score which people."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from veil import registry
from veil.config import StudyConfig
from veil.expression import load_expression_net
from veil.faces.table import FaceTable
from veil.features import load_feature_net, load_perceptual_distance
from veil.protocol.evaluation import Judge
from veil.protocol.jobs import Runner, run_in_turn
from veil.protocol.labelled import draw_labelled
from veil.protocol.score import suite_hash
from veil.recognizers import load_recognizer
from veil.recognizers.roles import check_roles


def study_suite_hash(config: StudyConfig) -> str:
    """Hash of the study's attack suite with the models that score its trials.

    Raises:
        ProtocolError: a model holds two roles.
        ConfigError: a model or an attacker is unknown.
        AssetError: a model's weights cannot be had.
    """
    check_roles(config.roles)
    evaluator = load_expression_net(config.roles.evaluator)
    recognizers = {name: load_recognizer(name).asset_sha256 for name in config.roles.search}
    return suite_hash(config.suite, recognizers, (config.roles.evaluator, evaluator.asset_sha256))


def open_judge(
    config: StudyConfig,
    faces: FaceTable,
    target_split: Literal["search", "sealed"],
    cache: Path,
    device: str = "cpu",
    run_attacks: Runner = run_in_turn,
    extra: Mapping[str, FaceTable] | None = None,
) -> Judge:
    """The judge of a study's trials ("search") or of its picked points ("sealed").

    The search people are scored by the search recognizers, the sealed people by the report recognizers; neither ever
    holds a role in training. Labelled expressions are read on faces of the same part of `extra`.

    Raises:
        ProtocolError: a model holds two roles.
        AssetError: a model's weights cannot be had.
    """
    check_roles(config.roles)
    names, others = config.roles.search, config.roles.report
    if target_split == "sealed":
        names, others = others, names
    return assemble_judge(
        config, names, config.roles.proxies, faces, target_split, cache, device, run_attacks, extra, others
    )


def open_early_judge(config: StudyConfig, faces: FaceTable, cache: Path, device: str = "cpu") -> Judge:
    """The judge at rungs of early stopping: the same people and nets as at the end, and fewer attackers.

    It measures the study's objectives and nothing beside them.

    Raises:
        ProtocolError: a model holds two roles.
        AssetError: a model's weights cannot be had.
    """
    stopping = config.search.early_stopping
    assert stopping is not None
    check_roles(config.roles)
    attackers = tuple(dict.fromkeys(("control", *stopping.attackers)))
    strength = {name: settings for name, settings in config.suite.strength.items() if name in attackers}
    changes = {"attackers": attackers, "attacker_seeds": 1, "labelled_images": 0, "strength": strength}
    suite = config.suite.model_copy(update=changes)
    return Judge(
        suite=suite,
        recognizers={name: load_recognizer(name) for name in config.roles.search},
        evaluator=load_expression_net(config.roles.evaluator),
        faces=faces,
        target_split="search",
        cache=cache,
        features=load_feature_net(suite.features) if "realism" in config.search.objectives else None,
        also_judging={name: registry.recognizers.get(name).weights_sha256() for name in config.roles.report},
        device=device,
    )


def assemble_judge(
    config: StudyConfig,
    recognizers: Sequence[str],
    proxies: Sequence[str],
    faces: FaceTable,
    target_split: Literal["search", "sealed"],
    cache: Path,
    device: str = "cpu",
    run_attacks: Runner = run_in_turn,
    extra: Mapping[str, FaceTable] | None = None,
    also_judging: Sequence[str] = (),
) -> Judge:
    """A judge with its models loaded, whoever chose which recognizers score here, which elsewhere, and which are read.

    Raises:
        ProtocolError: a model that scores is also a proxy.
        AssetError: a model's weights cannot be had.
    """
    suite = config.suite
    labelled = {
        name: drawn
        for name, table in (extra or {}).items()
        if (drawn := draw_labelled(table, target_split, suite.labelled_images, suite.seed)) is not None
    }
    return Judge(
        suite=suite,
        recognizers={name: load_recognizer(name) for name in recognizers},
        evaluator=load_expression_net(config.roles.evaluator),
        faces=faces,
        target_split=target_split,
        cache=cache,
        proxies={name: load_recognizer(name) for name in proxies},
        detector=registry.detectors.get(config.data.detector)(),
        features=load_feature_net(suite.features),
        perceptual=load_perceptual_distance(),
        labelled=labelled,
        also_judging={name: registry.recognizers.get(name).weights_sha256() for name in also_judging},
        device=device,
        run_attacks=run_attacks,
    )
