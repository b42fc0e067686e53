"""Operating points in MLflow's model registry."""

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

from veil.errors import ConfigError, TrackingError
from veil.interfaces import CROP_SIZE
from veil.protocol.score import TrialScore
from veil.tracking.packing import Pack

CARD = "card.md"
SCORE = "sealed_score.json"
MAX_DESCRIPTION = 5000
"""Characters that a database of MLflow keeps of a description."""


class ModelName(NamedTuple):
    """A model and an alias of one of its versions."""

    model: str
    alias: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "NAME@ALIAS".

        Raises:
            ConfigError: the text has another form.

        >>> ModelName.parse("face-anonymizer@balanced")
        ModelName(model='face-anonymizer', alias='balanced')
        """
        match = re.fullmatch(r"([A-Za-z0-9][\w.-]*)@([A-Za-z][\w-]*)", text)
        if match is None or re.fullmatch(r"v\d+|latest", match[2], re.IGNORECASE):
            raise ConfigError(
                f"{text!r} names no model: expected NAME@ALIAS, for example face-anonymizer@balanced; MLflow keeps "
                "the aliases v1, v2, … and latest for itself"
            )
        return cls(match[1], match[2])

    def __str__(self) -> str:
        return f"{self.model}@{self.alias}"


def check_registry(uri: str) -> None:
    """Find out whether models can be registered, before anything is measured for one.

    Raises:
        TrackingError: the registry cannot be reached.
    """
    try:
        MlflowClient(tracking_uri=uri, registry_uri=uri).search_registered_models(max_results=1)
    except (MlflowException, OSError) as error:
        raise TrackingError(
            f"the model registry at {uri} cannot be used: {_short(error)}; nobody was looked at. Check `tracking.uri`"
        ) from error


def register_model(
    uri: str, run_id: str, name: ModelName, pack: Pack, metadata: Mapping[str, Any], card: str, score: TrialScore
) -> str:
    """Log a packed operating point as an MLflow model and give its registered version the alias.

    Args:
        uri: tracking server or database, with its registry.
        run_id: run of the trial.
        name: model and alias.
        pack: files of the model.
        metadata: what the model says of itself to programs.
        card: what it says to people (Markdown).
        score: on the sealed people.

    Returns:
        The version.

    Raises:
        TrackingError: the registry refuses.
    """
    crops = Schema([TensorSpec(np.dtype(np.uint8), (-1, CROP_SIZE, CROP_SIZE, 3))])
    params = ParamSchema([ParamSpec("identity_seed", DataType.long, -1)])
    measured = pack.point.with_name("card")
    measured.mkdir()
    (measured / CARD).write_text(card, encoding="utf-8")
    (measured / SCORE).write_text(score.model_dump_json(indent=2), encoding="utf-8")
    try:
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        with warnings.catch_warnings(), mlflow.start_run(run_id=run_id):
            # MLflow asks for type hints although the signature is given.
            warnings.simplefilter("ignore")
            logged = mlflow.pyfunc.log_model(
                name="anonymizer",
                python_model=str(pack.serving),
                artifacts={"point": str(pack.point), "card": str(measured)},
                code_paths=[str(path) for path in pack.code],
                signature=ModelSignature(inputs=crops, outputs=crops, params=params),
                pip_requirements=list(pack.requirements),
                registered_model_name=name.model,
                metadata=dict(metadata),
            )
        version = str(logged.registered_model_version)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.update_model_version(name.model, version, description=_description(card))
        client.set_registered_model_alias(name.model, name.alias, version)
    except (MlflowException, OSError) as error:
        raise TrackingError(f"cannot register {name} at {uri}: {_short(error)}") from error
    return version


def _description(card: str) -> str:
    """The card, or as many of its lines as the registry has room for."""
    if len(card) <= MAX_DESCRIPTION:
        return card
    end = f"\n\n… the whole card is the model's artifact `{Path('card') / CARD}`."
    return card[: card.rindex("\n", 0, MAX_DESCRIPTION - len(end))] + end


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
