"""What is attacked: a registered anonymizer, a finished trial, a registered model, or two folders of photographs."""

import inspect
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from veil.assets import cache_folder
from veil.config import DataConfig, StudyConfig, load_study_config
from veil.errors import ConfigError, ProtocolError, nearest
from veil.faces.prepare import Progress
from veil.faces.study_faces import StudyFaces
from veil.interfaces import Anonymizer
from veil.preparing.study import prepare_study
from veil.protocol.evaluation import Evaluation, Judge
from veil.records import TrialRecord
from veil.registry import anonymizers, find_preset, trainables
from veil.study import StudyFolder

MODEL_SCHEME = "models:/"
FORMS = "NAME:setting=value (a registered anonymizer), a trial's folder, or models:/NAME@ALIAS"


@dataclass(frozen=True)
class Source:
    """Something to attack, with its faces.

    Attributes:
        label: what it is, for people.
        config: the settings it is attacked under.
        faces: faces with the splits "search", under attack, and "attacker", which the attacker owns; beside them,
            labelled faces on which expression is read.
        proxies: recognizers from inside its loss, which cannot judge it; empty where it was not trained.
        notes: sentences that a reader of the score must know.
        score: lets a judge of these faces score it.
    """

    label: str
    config: StudyConfig
    faces: StudyFaces
    proxies: tuple[str, ...]
    notes: tuple[str, ...]
    score: Callable[[Judge], Evaluation]


@dataclass(frozen=True)
class SettingsChoice:
    """Where the settings come from: a file, or the study that something belongs to, or a preset.

    Attributes:
        config: study file; None takes the study's own, or the preset.
        preset: preset of a plug-in package.
        overrides: single settings laid over them, as "a.b=c".
    """

    config: Path | None
    preset: str
    overrides: tuple[str, ...] = ()

    def load(self, own: Path | None = None) -> StudyConfig:
        """Read the settings.

        Args:
            own: study file that belongs to what is attacked, if any.
        """
        return load_study_config(self.config or own or find_preset(self.preset), self.overrides)


def open_model(text: str, settings: SettingsChoice, progress: Progress = lambda done, total: None) -> Source:
    """Open an anonymizer for attack.

    Args:
        text: "blur:kernel=31", the folder of a finished trial, or an address "models:/NAME@ALIAS".
        settings: data, suite and roles; a trial is attacked under those of its own study unless a file is given.
        progress: of the preparation of faces.

    Raises:
        ConfigError: there is no such anonymizer, trial or model.
        ProtocolError: people who trained it might be under attack, or its crops follow another contract.
        TrackingError: the model registry cannot be used.
    """
    if text.startswith(MODEL_SCHEME):
        return _open_registered(text, settings, progress)
    if Path(text).is_dir():
        folder = Path(text).resolve()
        return _open_trial(folder, StudyFolder(folder.parents[1]), settings, progress, ())
    return _open_named(text, settings, progress)


def _open_named(text: str, settings: SettingsChoice, progress: Progress) -> Source:
    name, _, rest = text.partition(":")
    if name not in anonymizers.names():
        raise ConfigError(
            f"{text!r} is no folder and no registered anonymizer; {nearest(name, anonymizers.names())}; "
            f"expected {FORMS}"
        )
    build = anonymizers.get(name)
    values = _parse_values(text, rest)
    known = list(inspect.signature(build).parameters)
    for key in values:
        if key not in known:
            raise ConfigError(f"anonymizer {name!r} has no setting {key!r}; {nearest(key, known)}")
    try:
        anonymizer = build(**values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"anonymizer {text!r}: {error}") from error
    config = settings.load()
    label = " ".join([name, *(f"{key}={value}" for key, value in values.items())])
    return _source(label, config, anonymizer, _faces(config.data, progress), proxies=(), notes=())


def _parse_values(text: str, rest: str) -> dict[str, Any]:
    values = {}
    for part in filter(None, rest.split(",")):
        key, separator, value = part.partition("=")
        if not separator:
            raise ConfigError(f"{text!r}: expected NAME:setting=value,setting=value, found {part!r}")
        values[key.strip()] = yaml.safe_load(value)
    return values


def _open_registered(address: str, settings: SettingsChoice, progress: Progress) -> Source:
    config = settings.load()
    if config.tracking.uri is None and not (config.root / "mlflow.db").exists():
        raise ConfigError(
            f"no tracking database in {config.root}, so there is no {address}; name the folder of the studies with "
            "--set root=FOLDER, or the server with --set tracking.uri=ADDRESS"
        )
    from veil.tracking import local_uri
    from veil.tracking.retrieval import fetch_operating_point

    with tempfile.TemporaryDirectory() as scratch:
        point = fetch_operating_point(config.tracking.uri or local_uri(config.root), address, Path(scratch))
        study = StudyFolder(config.root / point.study)
        notes = () if study.config_path.exists() else (_unknown_training(point.study, config.root),)
        return _open_trial(point.folder, study, settings, progress, notes, point.contract_hash)


def _unknown_training(study: str, root: Path) -> str:
    return (
        f"The study {study!r} that made this model is not in {root}: whether people who trained it are under attack, "
        "and which recognizers were in its loss, is taken from the settings and could not be checked."
    )


def _open_trial(
    folder: Path,
    study: StudyFolder,
    settings: SettingsChoice,
    progress: Progress,
    notes: tuple[str, ...],
    contract_hash: str | None = None,
) -> Source:
    path = folder / "record.json"
    if not path.exists():
        raise ConfigError(f"{folder} holds no record.json, so it is no folder of a finished trial; expected {FORMS}")
    record = TrialRecord.parse(yaml.safe_load(path.read_text(encoding="utf-8")), where=str(path))
    if record.synthetic or record.state in ("failed", "diverged", "stopped"):
        why = "a synthetic problem without faces" if record.synthetic else f"{record.state}: {record.reason}"
        raise ConfigError(f"trial {record.number} in {folder} made no anonymizer ({why}); attack another one")
    own = study.config_path if study.config_path.exists() else None
    config = settings.load(own)
    trained_with = study.config() if own is not None else config
    _check_strangers(config.data, trained_with.data, record)
    faces = _faces(config.data, progress)
    made_for = contract_hash or (study.manifest().contract_hash if own is not None else None)
    if made_for not in (None, faces.people.contract_hash):
        raise ProtocolError(
            f"trial {record.number} was made for crops of contract {made_for}, but these faces follow "
            f"{faces.people.contract_hash}; use the detector and the face parser of its study "
            f"(data.detector={trained_with.data.detector}, data.parsing={trained_with.data.parsing})"
        )
    trainable = trainables.get(record.trainable)()
    anonymizer = trainable.load(trainable.Config.parse(record.params, where=str(path)), folder)
    label = f"{record.label} (trial {record.number} of study {study.name})"
    return _source(label, config, anonymizer, faces, trained_with.roles.proxies, notes)


def _check_strangers(data: DataConfig, trained_on: DataConfig, record: TrialRecord) -> None:
    seen = {(trained_on.dataset, trained_on.root), *((extra.dataset, extra.root) for extra in trained_on.extra)}
    other_splits = (data.splits, data.split_seed) != (trained_on.splits, trained_on.split_seed)
    if (data.dataset, data.root) in seen and other_splits:
        raise ProtocolError(
            f"trial {record.number} was trained on other splits of the dataset {data.dataset!r}, so people it was "
            "trained on may be under attack; leave `data.splits` and `data.split_seed` as its study has them"
        )


def _faces(data: DataConfig, progress: Progress) -> StudyFaces:
    return StudyFaces.load(data, prepare_study(data, cache_folder(), progress))


def _source(
    label: str,
    config: StudyConfig,
    anonymizer: Anonymizer,
    faces: StudyFaces,
    proxies: tuple[str, ...],
    notes: tuple[str, ...],
) -> Source:
    notes = (*notes, *getattr(anonymizer, "notes", ()))
    return Source(label, config, faces, proxies, notes, lambda judge: judge.score(anonymizer))


def open_folders(
    clear: Path, anonymized: Path, settings: SettingsChoice, progress: Progress = lambda done, total: None
) -> Source:
    """Open two folders of photographs for attack; see `veil.attacking.pairs_of_folders`."""
    from veil.attacking.pairs_of_folders import OWNED_SPLIT, TARGET_SPLIT, read_folders

    config = settings.load()
    paired = read_folders(clear, anonymized, config, progress)
    return Source(
        label=f"{anonymized} (originals: {clear})",
        config=config,
        faces=StudyFaces(paired.faces),
        proxies=(),
        notes=paired.notes,
        score=lambda judge: judge.score_images(paired.crops(TARGET_SPLIT), paired.crops(OWNED_SPLIT)),
    )
