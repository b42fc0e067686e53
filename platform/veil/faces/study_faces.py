"""All faces of a study: the people it judges, and more faces beside them, under one crop contract."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from veil.config import DataConfig, hash_values
from veil.errors import ProtocolError
from veil.faces.table import FaceTable


class PreparedFaces(NamedTuple):
    """Where the face tables of a study lie.

    Attributes:
        people: faces that the study splits and judges.
        extra: more faces, in the order of `data.extra`.
    """

    people: Path
    extra: tuple[Path, ...] = ()


@dataclass(frozen=True)
class StudyFaces:
    """Face tables of a study.

    Attributes:
        people: faces that the study splits and judges.
        extra: more faces, by the name of their dataset; their train part is trained on, the labelled ones of their
            other parts measure expression. Nobody in them is attacked.
    """

    people: FaceTable
    extra: dict[str, FaceTable] = field(default_factory=dict)

    @classmethod
    def load(cls, data: DataConfig, prepared: PreparedFaces) -> "StudyFaces":
        """Read the tables.

        Raises:
            DataError: a table cannot be read, or follows another crop contract than that of the people.
            ProtocolError: extra faces to train on show people who are under attack or belong to attackers.
        """
        people = FaceTable.load(prepared.people)
        extra: dict[str, FaceTable] = {}
        for settings, path in zip(data.extra, prepared.extra, strict=True):
            name = settings.dataset if settings.dataset not in extra else f"{settings.dataset}-{len(extra) + 1}"
            extra[name] = FaceTable.load(path, expected_contract=people.contract_hash)
            _check_strangers(name, extra[name], people)
        return cls(people, extra)

    @property
    def data_hash(self) -> str:
        """Hash of the contents of all tables; that of the people where they are alone."""
        if not self.extra:
            return self.people.data_hash
        return hash_values([self.people.data_hash, *(table.data_hash for table in self.extra.values())])

    @property
    def extra_to_train_on(self) -> tuple[FaceTable, ...]:
        """The train parts of the extra faces; sets without one have none."""
        return tuple(table.split("train") for table in self.extra.values() if "train" in table.splits)


def draw_faces(table: FaceTable, count: int, seed: int) -> FaceTable:
    """Some usable faces of a table, drawn by a hash of the seed and their image ids: on nothing else does it depend.

    Args:
        table: N usable faces.
        count: how many; all of them if it is not below N.
        seed: another seed gives another draw.
    """
    ranks = [hashlib.sha256(f"{seed}\0{image_id}".encode()).digest() for image_id in table.image_ids]
    return table.take(np.sort(np.argsort(ranks, kind="stable")[:count]))


def _check_strangers(name: str, extra: FaceTable, people: FaceTable) -> None:
    judged = people.rows.filter(pc.not_equal(people.rows["split"], "train"))["source_sha256"]
    trained = extra.rows.filter(pc.equal(extra.rows["split"], "train"))
    shared = trained.filter(pc.is_in(trained["source_sha256"], value_set=judged.combine_chunks()))
    if len(shared):
        raise ProtocolError(
            f"{len(shared)} extra faces of {name!r} that would train anonymizers show people who are under attack "
            f"or of attackers (first: {shared['source_path'][0].as_py()}); take them out of `data.extra`"
        )
