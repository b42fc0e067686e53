"""What another tool made of the very faces that a study judges: looked up, never computed."""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from torch import Tensor

from veil.atomic import replace_when_complete
from veil.datasets.dataset import shorten
from veil.datasets.folder import files_by_stem
from veil.errors import DataError, ProtocolError
from veil.faces.align import ARCFACE_TEMPLATE
from veil.faces.exported import ExportedFace, crop_sha256, read_manifest
from veil.faces.table import images_to_tensor, tensor_to_images
from veil.faces.transfer import Frame, cut_published
from veil.registry import anonymizers

if TYPE_CHECKING:
    from veil.interfaces import FaceBatch

FRAMES = "frames.csv"
"""Says what of its original an output shows, where a tool returns face crops: file, left, top, right, bottom."""

UNCHANGED = 2.0
"""Mean difference from the original, in grey levels, below which an output hides nothing: that is what saving a face
as JPEG changes."""

_NOSE = ARCFACE_TEMPLATE[2]


class PublishedFaces:
    """Returns for each face what a tool published of it.

    Args:
        crops: uint8 (3, 112, 112), RGB, the published face by the SHA-256 of the clear one.
        notes: sentences that a reader of a score must know.
    """

    def __init__(self, crops: Mapping[str, np.ndarray], notes: Sequence[str] = ()) -> None:
        self._crops = dict(crops)
        self.notes = tuple(notes)

    def __call__(self, faces: "FaceBatch") -> Tensor:
        """Return float (B, 3, 112, 112) in [-1, 1].

        Raises:
            ProtocolError: a face is none of those that were exported.
        """
        hashes = [crop_sha256(crop) for crop in tensor_to_images(faces.images)]
        strangers = [found for found in hashes if found not in self._crops]
        if strangers:
            raise ProtocolError(
                f"{len(strangers)} of {len(hashes)} faces are none of the {len(self._crops)} that the tool was given "
                f"(first: SHA-256 {strangers[0][:16]}…): outputs apply to the exported images alone; run `veil export` "
                "with the settings of this study, and the tool on its folder"
            )
        return images_to_tensor(np.stack([self._crops[found] for found in hashes])).to(faces.images.device)

    def save(self, path: Path) -> None:
        """Keep the faces in one file.

        Raises:
            DataError: it cannot be written.
        """
        with replace_when_complete(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file, clear=np.array(list(self._crops)), published=np.stack(list(self._crops.values())),
                notes=np.array(self.notes, np.str_),
            )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` has kept.

        Raises:
            DataError: it is not there, or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as kept:
                published = kept["published"]
                return cls(dict(zip(kept["clear"].tolist(), published, strict=True)), kept["notes"].tolist())
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"cannot read {path}: {error}; expected the outputs that a finished trial kept") from error


@anonymizers.register("published")
def read_published(folder: Path | str, export: Path | str) -> PublishedFaces:
    """Read what a tool made of exported faces, each cut out where the original's face lies.

    Of several exported images with equal crops, the first one's output stands for all.

    Args:
        folder: outputs, under the paths of the exported images, extensions aframe.
        export: folder that `veil export` wrote.

    Raises:
        DataError: an output is missing, is no image or does not show the face, all of them show the originals, or the
            exported folder was changed.
    """
    folder, export = Path(folder), Path(export)
    manifest = read_manifest(export)
    outputs = files_by_stem(folder, "folder")
    missing = [face.file for face in manifest.faces if face.stem not in outputs]
    if missing:
        raise DataError(
            f"{folder} lacks {len(missing)} of {len(manifest.faces)} outputs ({shorten(missing)}); run the tool on all "
            f"of {export}, and where it finds no face, put there what you would publish of that image"
        )
    frames = _read_frames(folder)
    crops: dict[str, np.ndarray] = {}
    unchanged = []
    for face in manifest.faces:
        frame = _frame_of(face, frames, folder) if frames is not None else None
        matrix, original = np.array(face.matrix), _original(face, export)
        published = cut_published(outputs[face.stem], original, face.size, matrix, frame)
        clear = cut_published(original, original, face.size, matrix)
        if np.abs(published.astype(np.int16) - clear).mean() < UNCHANGED:
            unchanged.append(face.file)
        crops.setdefault(face.crop_sha256, published)
    if len(unchanged) == len(manifest.faces):
        raise DataError(f"every face in {folder} is the original's; give the folder of the tool's outputs")
    return PublishedFaces(crops, _notes(unchanged, len(manifest.faces)))


def _notes(unchanged: Sequence[str], total: int) -> list[str]:
    if not unchanged:
        return []
    return [f"{len(unchanged)} of {total} faces were published as they were: {shorten(unchanged)}."]


def _original(face: ExportedFace, export: Path) -> Path:
    path = export / face.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; `veil export` wrote it, and it must stay") from error
    if hashlib.sha256(content).hexdigest() != face.sha256:
        raise DataError(f"{path} is no longer what `veil export` wrote; let the tool write to a folder of its own")
    return path


def _read_frames(folder: Path) -> dict[str, Frame] | None:
    """What of its original each output shows, by path without extension; None where all show the whole."""
    path = folder / FRAMES
    if not path.exists():
        return None
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {
                Path(row["file"]).with_suffix("").as_posix(): Frame(*(float(row[side]) for side in Frame._fields))
                for row in csv.DictReader(file)
            }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"cannot read {path} ({error!r}); expected the columns file, {', '.join(Frame._fields)}"
        ) from error


def _frame_of(face: ExportedFace, frames: Mapping[str, Frame], folder: Path) -> Frame:
    if face.stem not in frames:
        raise DataError(
            f"{folder / FRAMES} has no line for {face.file}, but must have one for every output or not exist"
        )
    frame = frames[face.stem]
    matrix = np.array(face.matrix)
    x, y = np.linalg.solve(matrix[:, :2], _NOSE - matrix[:, 2])
    if not (frame.left < x < frame.right and frame.top < y < frame.bottom):
        raise DataError(
            f"{folder / FRAMES}: {face.file} shows {tuple(frame)} of its original, but the nose is at "
            f"({x:.0f}, {y:.0f}); left, top, right and bottom are pixels of the exported image"
        )
    return frame
