"""The card of a registered operating point: what was measured, on whom, against what, and what is not promised."""

from collections.abc import Iterable, Mapping

import yaml

from veil import __version__, registry
from veil.assets.registry import Asset, load_registry
from veil.config import StudyConfig
from veil.expression import expression_net_sha256
from veil.picking.budget import interval
from veil.protocol.score import RungScore, TrialScore, attacker_configs
from veil.records import TrialRecord
from veil.sealed import SealedLook, sealed_looks
from veil.study import StudyFolder
from veil.tracking.packing import Pack


def model_card(
    record: TrialRecord, look: SealedLook, number: int, config: StudyConfig, folder: StudyFolder, pack: Pack
) -> str:
    """Write the card (Markdown).

    Args:
        record: the trial.
        look: at the sealed people.
        number: of that look.
        config: of the study, with the suite of the sealed people.
        folder: of the study.
        pack: files of the model.
    """
    score = look.score
    leak, utility = score.objectives["leak"], score.objectives["utility"]
    people = max(rung.n_identities for rung in score.rungs)
    looks = sealed_looks(folder)
    refused = sum(item.refused is not None for item in looks)
    searched = (f"{name} {interval(record.objectives[name])}" for name in ("leak", "utility"))
    sections = [
        f"# {record.label} (trial {record.number} of study {config.study})",
        f"Scored on {people} sealed people ({score.n_images} images) whom neither training nor the search ever saw, "
        f"with a recognizer ({', '.join(config.roles.report)}) that held no other role, by the full attack ladder; "
        f"attackers that learn attacked with {config.suite.attacker_seeds} seeds each. The sealed people of this study "
        f"had been looked at {len(looks)} times when this was written; this is look {number}. Refused so far: "
        f"{refused}. The more looks, the less a good score means.",
        "## Measured",
        "\n".join(
            [
                f"- worst-case leak (TAR at FAR {config.suite.far:g}): **{interval(leak)}**, by `{score.strongest}`"
                + _floor(score),
                f"- expression utility (1 - JS divergence): **{interval(utility)}**",
                *(f"- labelled expressions, {name}: {text}" for name, text in score.labelled_summaries.items()),
                f"- while the study searched: {', '.join(searched)}; chosen by `{look.asked or 'veil pick'}`",
                f"- not scored: {score.undetected} images without a detected face, {score.without_landmarks} without "
                "landmarks",
            ]
        ),
        _ladder(score.rungs),
        "Intervals are 95 % over people. Every row is the worst over ways of attacking, seeds and recognizers.",
        "## Not guaranteed",
        "\n".join(f"- {sentence}" for sentence in _limits(people, record, pack)),
        "## Licences",
        "\n".join(f"- {line}" for line in _licences(config, score, pack)),
        "## Provenance",
        f"Study `{config.study}`, trial {record.number}, seed {record.seed}; trained on "
        f"{_counts(record.training_faces)}. Attack suite `{score.suite_hash}`, data `{score.data_hash}`, crop contract "
        f"`{score.contract_hash}`, model files `{pack.files_sha256[:16]}`, sealed scores in MLflow run "
        f"`{look.run_id}`, Veil {__version__}.",
        "## Configuration",
        _fenced({"trainable": record.trainable, **record.params}),
        "## Strength of the attackers",
        _fenced({name: item.model_dump(mode="json") for name, item in attacker_configs(config.suite).items()}),
    ]
    return "\n\n".join(sections) + "\n"


def _floor(score: TrialScore) -> str:
    if score.leak_floor_mean is None or score.leak_floor_95 is None:
        return ""
    return f"; people dealt out at random would give {score.leak_floor_mean:.2f}, up to {score.leak_floor_95:.2f}"


def _ladder(rungs: Iterable[RungScore]) -> str:
    """The worst of each attacker, from the control upwards; of the control, the weakest."""
    groups: dict[tuple[str, str], list[RungScore]] = {}
    for rung in rungs:
        groups.setdefault((rung.rung, rung.name.split("/")[0]), []).append(rung)
    lines = ["| rung | attacker | tried | strongest way | TAR [95 %] | chance (95 %) |", "|---|---|---|---|---|---|"]
    for (level, name), group in sorted(groups.items()):
        worst = (min if level == "A0" else max)(group, key=lambda rung: rung.tar.value)
        lines.append(
            f"| {level} | {name} | {len(group)} | {worst.name} ({worst.recognizer}) | {interval(worst.tar)} | "
            f"{worst.floor_95:.2f} |"
        )
    return "\n".join(lines)


def _limits(people: int, record: TrialRecord, pack: Pack) -> list[str]:
    """What the numbers do not say."""
    sentences = [
        f"{people} people are few: read the intervals, not the values. Other people, cameras, ages and groups may fare "
        "otherwise.",
        "Attackers with more images, other recognizers or more computing may find more. A low leak is no proof of "
        "anonymity.",
        "Only the aligned face was judged: hair, clothes, body, voice, background, file names and dates identify too.",
        "Each image was published once. In a video all frames of a person share one code, which links them to each "
        "other and was not attacked.",
        "Faces that the detector misses are not anonymized by this model; nor is it for faces much smaller, larger or "
        "more turned than those of the study.",
    ]
    pool = sum(count for kind, count in record.training_faces.items() if kind.startswith("pool"))
    if pool:
        sentences.append(f"The model's files hold photographs of {pool} real people, whom its outputs mix.")
    return sentences + list(record.notes)


def _licences(config: StudyConfig, score: TrialScore, pack: Pack) -> list[str]:
    """Terms of the data and of every net, each once; by the hash of its file, so that a name cannot mislead."""
    assets = {asset.sha256: asset for asset in load_registry().assets.values()}
    by_file = {asset.filename: asset for asset in assets.values()}
    lines = [f"code: Veil {__version__}, Apache-2.0"]
    for name in dict.fromkeys([config.data.dataset, *(extra.dataset for extra in config.data.extra)]):
        about = getattr(registry.datasets.get(name), "about", None)
        lines.append(f"data, {name}: {about.licence if about is not None else 'not known to Veil'}")
    roles = config.roles
    models = {
        **{f"carried/{path.name}": by_file[path.name].sha256 for path in pack.assets if path.name in by_file},
        **{f"carried/{path.name}": "" for path in pack.assets if path.name not in by_file},
        **score.models,
        f"teacher/{roles.teacher}": expression_net_sha256(roles.teacher),
    }
    return lines + [f"{role}, {_terms(assets, sha256)}" for role, sha256 in _by_file(models).items()]


def _by_file(models: Mapping[str, str]) -> dict[str, str]:
    """Hashes by the roles and names that hold them."""
    holders: dict[str, list[str]] = {}
    for role, sha256 in models.items():
        holders.setdefault(sha256, []).append(role)
    return {" and ".join(roles): sha256 for sha256, roles in holders.items()}


def _terms(assets: Mapping[str, Asset], sha256: str) -> str:
    if sha256 in assets:
        return f"`{sha256[:16]}`: {assets[sha256].licence}"
    if sha256 == expression_net_sha256("fer_resnet"):
        return f"`{sha256[:16]}`: ships with Veil, Apache-2.0; trained on FER-2013, which is for research use"
    return f"`{sha256[:16] or 'your own file'}`: its terms are not known to Veil"


def _counts(faces: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in faces.items()) or "no faces"


def _fenced(values: Mapping[str, object]) -> str:
    return f"```yaml\n{yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True).strip()}\n```"
