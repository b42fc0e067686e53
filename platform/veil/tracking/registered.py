"""Loads a registered operating point to anonymize crops with."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel

from veil.errors import ConfigError, DataError, TrackingError, VeilError, nearest
from veil.tracking.models import ModelName
from veil.tracking.packing import files_sha256

_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class RegisteredPoint:
    """A registered operating point, ready for use.

    Attributes:
        name: model and alias that it was asked for by.
        version: of the model.
        model_hash: digest of the model's own files.
        metadata: what `veil pick --register` wrote down: study, trial, crop contract, signals, hashes.
    """

    name: ModelName
    version: str
    model_hash: str
    metadata: Mapping[str, Any]
    model: PyFuncModel

    def predict(self, crops: np.ndarray, identity_seed: int | None = None) -> np.ndarray:
        """Anonymize aligned crops.

        Args:
            crops: uint8 (B, 112, 112, 3), RGB.
            identity_seed: decides whom all of these crops show, 0 to 2³¹ − 1; None leaves that to each image. An
                anonymizer that shows nobody in particular has no use for it.

        Returns:
            uint8 (B, 112, 112, 3), RGB.

        Raises:
            DataError: the model cannot anonymize these crops, or returns something else than crops.
        """
        takes_seed = self.model.metadata.get_params_schema() is not None
        params = {"identity_seed": identity_seed} if takes_seed and identity_seed is not None else None
        try:
            anonymized: np.ndarray = np.asarray(self.model.predict(crops, params=params))
        except VeilError:
            raise
        except (MlflowException, RuntimeError, ValueError) as error:
            raise DataError(f"the model {self.name} failed: {error}") from error
        if anonymized.shape != crops.shape or anonymized.dtype != np.uint8:
            raise DataError(
                f"the model {self.name} returned {anonymized.dtype} {anonymized.shape}, expected uint8 {crops.shape}"
            )
        return anonymized


def load_registered(uri: str, name: ModelName) -> RegisteredPoint:
    """Load the version of a model that an alias stands for. This runs the model's own code.

    Args:
        uri: tracking server or database.
        name: model and alias.

    Raises:
        ConfigError: there is no such database.
        TrackingError: the registry cannot be read, has no such model or alias, or the model is not Veil's or was
            changed since it was registered.
    """
    if uri.startswith(_SQLITE) and not Path(uri.removeprefix(_SQLITE)).exists():
        raise ConfigError(
            f"no tracking database {uri.removeprefix(_SQLITE)}, so there is no {name}; name the folder of the studies "
            "with --root, or the server with --uri"
        )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        version = _version(MlflowClient(uri), name, uri)
        folder = Path(mlflow.artifacts.download_artifacts(f"models:/{name.model}/{version}"))
        metadata = Model.load(folder).metadata or {}
        _check_files(folder, metadata, f"{name} version {version} at {uri}")
        model = mlflow.pyfunc.load_model(str(folder))
    except (MlflowException, OSError) as error:
        raise TrackingError(f"cannot load {name} from {uri}: {error}") from error
    return RegisteredPoint(name, version, str(metadata["files_sha256"]), metadata, model)


def _check_files(folder: Path, metadata: Mapping[str, Any], what: str) -> None:
    missing = {"files_sha256", "crop_contract", "contract", "needs"} - set(metadata)
    if missing:
        raise TrackingError(
            f"{what} does not say its {', '.join(sorted(missing))}: `veil pick --register` did not make it, or an "
            "older Veil did; register it again"
        )
    if (found := files_sha256(folder)) != metadata["files_sha256"]:
        raise TrackingError(
            f"the files of {what} have the digest {found}, registered was {metadata['files_sha256']}: they were "
            "changed since; register the model again"
        )


def _version(client: MlflowClient, name: ModelName, uri: str) -> str:
    models = {model.name: model for model in client.search_registered_models()}
    if name.model not in models:
        raise TrackingError(f"no model {name.model!r} at {uri}; {nearest(name.model, models)}")
    aliases = models[name.model].aliases
    if name.alias not in aliases:
        raise TrackingError(
            f"the model {name.model!r} at {uri} has no alias {name.alias!r}; {nearest(name.alias, aliases)}"
        )
    return str(aliases[name.alias])
