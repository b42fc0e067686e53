"""Fetches a registered operating point; nothing of it is unpickled or executed."""

from pathlib import Path
from typing import NamedTuple

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from veil.errors import TrackingError
from veil.serving.point import TRIAL
from veil.tracking.packing import POINT, RECORD


class OperatingPointFiles(NamedTuple):
    """Files of a registered operating point.

    Attributes:
        folder: what the trial left for its anonymizer, with its record.
        study: name of the study that made it.
        contract_hash: crop contract that it was made for.
    """

    folder: Path
    study: str
    contract_hash: str


def fetch_operating_point(uri: str, address: str, folder: Path) -> OperatingPointFiles:
    """Download a registered model that `veil pick --register` made.

    Args:
        uri: tracking server or database.
        address: "models:/NAME@ALIAS" or "models:/NAME/VERSION".
        folder: where its files go.

    Raises:
        TrackingError: the registry cannot be read, has no such model, or the model is not Veil's.
    """
    try:
        mlflow.set_tracking_uri(uri)
        path = Path(mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=str(folder)))
        metadata = Model.load(path).metadata or {}
    except (MlflowException, OSError) as error:
        raise TrackingError(f"cannot fetch {address} from {uri}: {error}") from error
    trial = path / "artifacts" / POINT / TRIAL
    if not (trial / RECORD).is_file() or not {"study", "crop_contract"} <= set(metadata):
        raise TrackingError(f"{address} at {uri} is not a model that `veil pick --register` made")
    return OperatingPointFiles(trial, str(metadata["study"]), str(metadata["crop_contract"]))
