"""Writes the faces that a study judges into a folder, for tools outside of Veil to anonymize."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.text import Text

from veil.assets import cache_folder
from veil.atomic import folder_when_complete
from veil.config import ExtraFacesConfig, StudyConfig
from veil.datasets.dataset import SourceImage, shorten
from veil.errors import DataError
from veil.faces.align import align_face
from veil.faces.exported import MANIFEST, ExportedFace, ExportManifest, crop_sha256
from veil.faces.prepare import Preparation
from veil.faces.study_faces import StudyFaces
from veil.faces.table import FaceTable
from veil.preparing import main_faces, preparation_bar
from veil.preparing.plan import make_plan
from veil.preparing.study import prepare_study
from veil.protocol.labelled import draw_labelled
from veil.registry import datasets

PARTS = ("attacker", "search", "sealed")
LABELLED_PARTS = ("search", "sealed")

_UNMOVED = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
_SAME_CROP = 1.0
"""Mean difference, in grey levels, up to which a face that is found again is the one that was prepared."""


class _Wanted(NamedTuple):
    """A face to be written.

    Attributes:
        file: path below the folder.
        image_id: of its image.
        table: where its crop is.
        position: which face of the table.
    """

    file: str
    image_id: str
    table: FaceTable
    position: int

    @property
    def crop(self) -> np.ndarray:
        """uint8 (3, 112, 112), RGB, as the study judges it."""
        return self.table.crops[self.position]


def export_faces(config: StudyConfig, folder: Path, crops: bool, console: Console) -> ExportManifest:
    """Write the faces that a study judges and that its attackers own as PNG files, with a manifest.

    They are the people of the parts "attacker", "search" and "sealed", and the labelled faces of `data.extra` on which
    expression is read. A file is `part/person/image.png`; people and images are numbered, and nothing but the manifest
    says who is who. The folder appears complete or not at all.

    Args:
        config: data; of the suite, what decides about labelled faces.
        folder: must not exist, or be empty.
        crops: write the aligned crops instead of the upright photographs.
        console: where progress and summary go.

    Raises:
        DataError: the folder is in use or cannot be written, the data cannot be used or changed meanwhile.
        AssetError: weights or the dataset's archive cannot be fetched.
    """
    with folder_when_complete(folder) as temporary:
        with preparation_bar(console) as progress:
            faces = StudyFaces.load(config.data, prepare_study(config.data, cache_folder(), progress))
        written: list[ExportedFace] = []
        sources = list(_sources(config, faces))
        for source, wanted in sources:
            files = _write_crops(wanted, temporary) if crops else _write_photographs(source, config, wanted, temporary)
            title = f"writing {source.dataset}"
            written += track(files, title, total=len(wanted), console=console, transient=True)
        manifest = ExportManifest(
            datasets=tuple(dict.fromkeys(source.dataset for source, _ in sources)),
            contract_hash=faces.people.contract_hash,
            data_hash=faces.data_hash,
            faces=tuple(sorted(written, key=lambda face: face.file)),
        )
        (temporary / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    _print_summary(manifest, folder, console)
    return manifest


def _sources(config: StudyConfig, faces: StudyFaces) -> Iterator[tuple[ExtraFacesConfig, dict[str, _Wanted]]]:
    """Each dataset with the faces to be written of it, by image id."""
    people: dict[str, _Wanted] = {}
    for part in PARTS:
        table = faces.people.split(part)
        people |= _number(part, table, table.identities)
    yield main_faces(config.data), people
    for source, (name, table) in zip(config.data.extra, faces.extra.items(), strict=True):
        labelled: dict[str, _Wanted] = {}
        for part in LABELLED_PARTS:
            drawn = draw_labelled(table, part, config.suite.labelled_images, config.suite.seed)
            if drawn is not None:
                labelled |= _number(f"{name}-{part}", drawn, [""] * len(drawn))
        if labelled:
            yield source, labelled


def _number(part: str, table: FaceTable, identities: Sequence[str]) -> dict[str, _Wanted]:
    """The faces of a table by image id; people are numbered in the order of their names, images within their person."""
    people: dict[str, list[int]] = {}
    for position, identity in enumerate(identities):
        people.setdefault(identity, []).append(position)
    return {
        table.image_ids[position]: _Wanted(
            f"{part}/{person}/{number:06}.png", table.image_ids[position], table, position
        )
        for person, identity in enumerate(sorted(people))
        for number, position in enumerate(people[identity])
    }


def _write_crops(wanted: Mapping[str, _Wanted], folder: Path) -> Iterator[ExportedFace]:
    for face in wanted.values():
        yield _write(face, cv2.cvtColor(face.crop.transpose(1, 2, 0), cv2.COLOR_RGB2BGR), np.array(_UNMOVED), folder)


def _write_photographs(
    source: ExtraFacesConfig, config: StudyConfig, wanted: Mapping[str, _Wanted], folder: Path
) -> Iterator[ExportedFace]:
    """Tables keep crops, not how they were cut: the faces are found again, in the same way."""
    found: list[ExportedFace] = []

    def write(image: SourceImage, pixels: np.ndarray, matrix: np.ndarray) -> None:
        face = wanted[image.image_id]
        if np.abs(align_face(pixels, matrix).astype(np.int16) - face.crop).mean() > _SAME_CROP:
            raise DataError(f"{image.path} has changed since it was prepared; run `veil prepare` and export again")
        found.append(_write(face, pixels, matrix, folder))

    preparation = Preparation.load(config.data.detector, config.data.parsing, on_aligned=write)
    images = make_plan(source, config.data, cache_folder()).images
    missing = set(wanted)
    for _ in preparation.rows((image, "") for image in images if image.image_id in wanted):
        yield from found
        missing -= {face.image_id for face in found}
        found.clear()
    if missing:
        raise DataError(
            f"in {len(missing)} prepared images no face is found any more ({shorten(sorted(missing))}): they have "
            "changed; run `veil prepare` and export again"
        )


def _write(face: _Wanted, pixels: np.ndarray, matrix: np.ndarray, folder: Path) -> ExportedFace:
    content = cv2.imencode(".png", pixels)[1].tobytes()
    path = folder / face.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    first, second = ((float(a), float(b), float(c)) for a, b, c in matrix)
    return ExportedFace(
        file=face.file,
        sha256=hashlib.sha256(content).hexdigest(),
        image_id=face.image_id,
        crop_sha256=crop_sha256(face.crop),
        size=(pixels.shape[1], pixels.shape[0]),
        matrix=(first, second),
    )


def _print_summary(manifest: ExportManifest, folder: Path, console: Console) -> None:
    counts = Counter(face.file.split("/", 1)[0] for face in manifest.faces)
    for part, count in sorted(counts.items()):
        console.print(f"{part:<16} {count} images", highlight=False)
    for name in manifest.datasets:
        about = getattr(datasets.get(name), "about", None)
        console.print(Text(f"licence of {name}: {about.licence if about is not None else 'not known to Veil'}"))
    console.print(f"{folder}   (who is who: {MANIFEST}, which no tool needs)", highlight=False)
