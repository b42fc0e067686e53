"""One typed, frozen configuration from YAML to worker to tracked parameters."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from veil.errors import ConfigError, nearest
from veil.objectives import get_objective


class Settings(BaseModel):
    """Base of every configuration: immutable, and an unknown key is an error that names the nearest one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def check_partial(cls, values: Mapping[str, Any], where: str) -> None:
        """Validate values that others will complete: what is there must be right, what is missing may come later.

        Raises:
            ConfigError: as `parse`, except for missing settings.
        """
        try:
            cls.model_validate(values)
        except ValidationError as error:
            wrong = [_explain(item, cls) for item in error.errors() if item["type"] != "missing"]
            if wrong:
                raise ConfigError(f"{where}: " + "; ".join(wrong)) from None

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str) -> Self:
        """Validate `values`.

        Args:
            values: nested plain values as they come from YAML.
            where: file or object the values come from, for the message.

        Raises:
            ConfigError: names each setting that is wrong, what was found and what was expected.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(f"{where}: " + "; ".join(_explain(item, cls) for item in error.errors())) from None

    def content_hash(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON form."""
        return hash_values(self.model_dump(mode="json"))

    def flatten(self) -> dict[str, Any]:
        """Leaves by dotted path, for tracked parameters."""
        return flatten(self.model_dump(mode="json"))


def _explain(item: Any, model: type[BaseModel]) -> str:
    path = ".".join(str(part) for part in item["loc"]) or "(top level)"
    if item["type"] == "extra_forbidden":
        return f"unknown setting {path!r}; {nearest(str(item['loc'][-1]), _fields_at(model, item['loc'][:-1]))}"
    found = "" if item["type"] == "missing" else f" (found {item['input']!r})"
    return f"setting {path!r}: {item['msg']}{found}"


def _fields_at(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        model = field.annotation
    return list(model.model_fields)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into one level with dotted keys.

    >>> flatten({"a": {"b": 1}, "c": [2, 3]})
    {'a.b': 1, 'c': [2, 3]}
    """
    leaves: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            leaves.update(flatten(value, f"{prefix}{key}."))
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def hash_values(values: Any) -> str:
    """First 16 hex digits of the SHA-256 of the canonical JSON of plain values.

    >>> hash_values({"b": 1, "a": 2}) == hash_values({"a": 2, "b": 1})
    True
    """
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


class SplitConfig(Settings):
    """Number of people in each identity-disjoint part."""

    train: int = Field(12, ge=2, description="people whose images train the anonymizer")
    attacker: int = Field(8, ge=2, description="people whose images adaptive attackers learn from")
    search: int = Field(10, ge=2, description="people on whom the sweep's scores are measured")
    sealed: int = Field(10, ge=2, description="people scored only when a point is picked or reported")


class ExtraFacesConfig(Settings):
    """More faces, prepared under the crop contract of the study; of FER-2013's and the like no identity is known.

    Their train part joins the anonymizer's training; the labelled ones of their other parts measure expression.
    """

    dataset: str
    root: Path | None = Field(None, description="dataset folder or archive")
    images: int | None = Field(None, ge=1, description="number of images to train on, drawn at random; None takes all")


class DataConfig(Settings):
    """Which faces, found how, split how."""

    dataset: str = "orl"
    root: Path | None = Field(None, description="dataset folder or archive; None fetches the asset of that name")
    detector: str = "yunet"
    parsing: str = Field("polygons", description="registered face parser: what is skin, eye, lip, …")
    splits: SplitConfig = SplitConfig()
    split_seed: int = 0
    extra: tuple[ExtraFacesConfig, ...] = Field((), description="more faces to train on and to measure expression on")


class RoleConfig(Settings):
    """Which model holds which role; one model never holds two."""

    proxies: tuple[str, ...] = Field(("mobilefacenet",), min_length=1, description="inside the anonymizer's loss")
    search: tuple[str, ...] = Field(("sface",), min_length=1, description="score the trials")
    report: tuple[str, ...] = Field(("dlib_resnet",), min_length=1, description="score picked points, sealed people")
    teacher: str = Field("fer_resnet", description="inside the loss; fer_resnet:FOLDER is one of your own")
    evaluator: str = "face_api_expression"


class SuiteConfig(Settings):
    """The attacks every trial is judged by; its hash is a tag that a study never mixes.

    Attributes:
        attackers: registered attackers in ladder order; `control` must be among them.
        far: false accept rate at which TAR is read.
        min_false_accepts: expected impostor pairs above the threshold below which a FAR is refused.
        min_control_tar: control TAR below which the whole score is invalid.
        bootstrap_replicates: resamples of the identities, for statements over many trials at once.
        floor_permutations: label permutations for the chance floor.
        features: registered feature net whose features the kernel inception distance compares.
        labelled_images: images of each set in `data.extra` on which labelled expressions are read; 0 reads none.
        seed: seed of adaptive attackers, resamples and permutations.
        attacker_seeds: seeds with which each adaptive attacker attacks; the worst counts. One whose strength has
            `seeds` trains that many by itself.
        strength: settings of adaptive attackers by attacker name.
    """

    attackers: tuple[str, ...] = ("control", "naive", "reverse", "parrot", "informed")
    far: float = Field(0.01, gt=0, lt=1)
    min_false_accepts: int = Field(30, ge=1)
    min_control_tar: float = Field(0.95, ge=0, le=1)
    bootstrap_replicates: int = Field(1000, ge=100)
    floor_permutations: int = Field(200, ge=20)
    features: str = "alexnet"
    labelled_images: int = Field(500, ge=0)
    seed: int = 0
    attacker_seeds: int = Field(1, ge=1)
    strength: dict[str, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _control_is_present(self) -> Self:
        if "control" not in self.attackers:
            raise ValueError("attackers must contain 'control': without it a low leak proves nothing")
        return self

    @model_serializer(mode="wrap")
    def _leave_out_single_seed(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Suites whose attackers attack once keep the hash that they had before there could be several seeds.
        values: dict[str, Any] = serialize(self)
        if values.get("attacker_seeds") == 1:
            del values["attacker_seeds"]
        return values


class SealedConfig(Settings):
    """How a picked point is attacked on the sealed people: by every registered attacker, more than once.

    Attributes:
        attacker_seeds: seeds with which each adaptive attacker attacks; the worst counts.
        strength: settings of attackers by name, laid over those of the suite.
    """

    attacker_seeds: int = Field(3, ge=3)
    strength: dict[str, dict[str, Any]] = {}


class AnchorConfig(Settings):
    """A configuration that a study tries beside those of its space, such as the outputs of another tool."""

    trainable: str
    settings: dict[str, Any] = Field({}, description="of that trainable; they are laid over its `search.base`")


class EarlyStoppingConfig(Settings):
    """Multi-objective asynchronous successive halving: at each rung the best 1/eta of the trials so far go on.

    Attributes:
        rungs: images seen by a training at which it is compared with others, rising; each below its length.
        eta: how many trials of a rung there are for one that goes on.
        attackers: registered attackers that judge at a rung, beside the control; cheap ones, for they attack often.
        controls: share of the trials that run to their end even if they would be stopped, drawn at random: they tell
            whether stopping loses points of the frontier.
    """

    rungs: tuple[int, ...] = Field(min_length=1)
    eta: float = Field(3.0, gt=1)
    attackers: tuple[str, ...] = Field(("naive", "reverse", "parrot"), min_length=1)
    controls: float = Field(0.1, ge=0, le=1)

    @field_validator("rungs")
    @classmethod
    def _rungs_rise(cls, rungs: tuple[int, ...]) -> tuple[int, ...]:
        if rungs[0] < 1 or any(later <= earlier for earlier, later in pairwise(rungs)):
            raise ValueError("expected numbers of images that rise from 1 or more")
        return rungs


class SearchConfig(Settings):
    """What the sweep explores and with which means."""

    space: str = "smoke"
    trials: int = Field(16, ge=1, description="trials of the study, baselines included")
    objectives: tuple[str, ...] = Field(("leak", "utility"), min_length=1)
    sampler: Literal["tpe", "nsga2", "random"] = "tpe"
    seed: int = 0
    max_concurrent_trials: int = Field(2, ge=1)
    cpus_per_trial: int = Field(1, ge=1)
    gpus_per_trial: float = Field(0.0, ge=0)
    workers_per_trial: int = Field(1, ge=1, description="above 1, training runs under Ray Train")
    max_failures: int = Field(2, ge=0, description="how often a trial, or its training, goes on after its process died")
    anchors: tuple[AnchorConfig, ...] = Field((), description="tried first, before what the space tries")
    base: dict[str, Any] = Field({}, description="settings that every trial of a trainable shares, by trainable")
    early_stopping: EarlyStoppingConfig | None = Field(None, description="None trains every trial to its end")
    constraints: dict[str, float] = Field(
        {}, description="worst value of an objective that is of use; the sampler looks for better ones"
    )
    warm_start: str | None = Field(
        None, description="study in the same root whose finished trials the sampler knows from the start"
    )

    @model_validator(mode="after")
    def _sampler_learns(self) -> Self:
        for name in self.constraints:
            if name not in self.objectives:
                raise ValueError(
                    f"constraints names {name!r}, which is none of the objectives ({', '.join(self.objectives)}); add "
                    "it to search.objectives or remove the constraint"
                )
        if self.sampler == "random" and (self.constraints or self.warm_start):
            what = "constraints" if self.constraints else "warm_start"
            raise ValueError(f"{what} needs a sampler that learns, found sampler 'random'; set it to tpe or nsga2")
        return self

    @field_validator("objectives")
    @classmethod
    def _objectives_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            try:
                get_objective(name)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return names


class TrackingConfig(Settings):
    """Where runs are logged."""

    uri: str | None = Field(None, description="MLflow server address; None is a database file beside the studies")


class StudyConfig(Settings):
    """Everything that defines a study."""

    study: str = Field("smoke", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    root: Path = Field(Path("studies"), description="folder that holds all studies and the local tracking database")
    data: DataConfig = DataConfig()
    roles: RoleConfig = RoleConfig()
    suite: SuiteConfig = SuiteConfig()
    sealed: SealedConfig = SealedConfig()
    search: SearchConfig = SearchConfig()
    tracking: TrackingConfig = TrackingConfig()

    @property
    def folder(self) -> Path:
        """Folder of this study."""
        return self.root / self.study


def load_study_config(path: Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """Read a study from YAML and apply `a.b=c` overrides (values are parsed as YAML).

    Raises:
        ConfigError: the file is missing or not a mapping, or a setting is wrong.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(
            f"cannot read the study file {path}: {error.strerror}; give an existing file to --config"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, found {type(values).__name__}")
    return StudyConfig.parse(apply_overrides(values, overrides), where=str(path))


def apply_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a copy of nested `values` with each `a.b=c` set.

    >>> apply_overrides({"a": {"b": 1}}, ["a.b=2", "c=[x, y]"])
    {'a': {'b': 2}, 'c': ['x', 'y']}

    Raises:
        ConfigError: an override has no `=`, or its path runs through a value that is not a mapping.
    """
    result: dict[str, Any] = json.loads(json.dumps(values, default=str))
    for override in overrides:
        path, separator, text = override.partition("=")
        if not separator:
            raise ConfigError(f"--set {override!r}: expected a.b=value")
        *parents, leaf = path.strip().split(".")
        node = result
        for part in parents:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ConfigError(f"--set {override!r}: {part!r} is a value, not a group of settings")
        node[leaf] = yaml.safe_load(text)
    return result
