"""What `veil export` has written: which file shows which face, and where in the file the face lies."""

import hashlib
import json
from pathlib import Path

import numpy as np
from pydantic import Field

from veil import __version__
from veil.config import Settings
from veil.errors import ConfigError, DataError

MANIFEST = "veil-export.json"


class ExportedFace(Settings):
    """One face.

    Attributes:
        file: path below the folder, with forward slashes.
        sha256: of the file.
        image_id: of the image that it was made of.
        crop_sha256: of the aligned crop that a study judges; see `crop_sha256`.
        size: width and height of the file's picture, in pixels.
        matrix: alignment of the file's pixels (x, y, 1) to those of the crop, (2, 3).
    """

    file: str
    sha256: str
    image_id: str
    crop_sha256: str
    size: tuple[int, int]
    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]

    @property
    def stem(self) -> str:
        """The path without its extension, under which a tool leaves its output."""
        return str(Path(self.file).with_suffix("").as_posix())


class ExportManifest(Settings):
    """What lies in an exported folder.

    Attributes:
        datasets: registered names.
        contract_hash: crop contract of the study.
        data_hash: of the study's faces.
        faces: all of them.
        veil: version that wrote them.
    """

    datasets: tuple[str, ...]
    contract_hash: str
    data_hash: str
    faces: tuple[ExportedFace, ...] = Field(min_length=1)
    veil: str = __version__


def crop_sha256(crop: np.ndarray) -> str:
    """SHA-256 of an aligned crop, uint8 (3, 112, 112), in hex."""
    return hashlib.sha256(np.ascontiguousarray(crop).tobytes()).hexdigest()


def read_manifest(folder: Path) -> ExportManifest:
    """Read what `veil export` wrote into a folder.

    Raises:
        DataError: it is not there, or damaged.
    """
    path = folder / MANIFEST
    try:
        return ExportManifest.parse(json.loads(path.read_text(encoding="utf-8")), where=str(path))
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror}; expected a folder that `veil export` wrote, with its originals"
        ) from error
    except (ValueError, ConfigError) as error:
        raise DataError(f"{path} is damaged or of another version of Veil ({error}); export the faces again") from error
