"""k-Same anonymizers as trials: the pool is made of the train split, and of nobody else."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import Field

from trainables.anonymizers.ksame import KSame, Method
from trainables.anonymizers.pool import FacePool
from veil.config import Settings
from veil.errors import ConfigError, DataError
from veil.expression import load_expression_net
from veil.interfaces import EXPRESSIONS, Anonymizer, TrialContext, TrialOutcome
from veil.protocol.guards import check_subject_pool
from veil.registry import trainables

if TYPE_CHECKING:
    from veil.faces.table import FaceTable

EXPRESSION_NET = "fer_resnet"
"""Reads expressions for k-Same-Select, of the pool's faces that are not labelled and of every face to anonymize."""

_CHUNK_IMAGES = 64


class KSameConfig(Settings):
    """One method of the family and its strength."""

    method: Method = Field(
        "average", description="mix the nearest, the nearest of the same expression, or the furthest"
    )
    k: int = Field(5, ge=2, description="faces mixed into one; fewer than the people of the pool")
    variance: float = Field(0.95, gt=0, le=1, description="of the pool, kept by the eigenfaces that measure distances")
    warp: bool = Field(False, description="mix faces that are warped to one shape, which blurs less")


@trainables.register("ksame")
class KSameTrainable:
    """Chooses one image a person from the train split; nothing is trained."""

    family = "k-Same"
    model_files = FacePool.files
    needs_faces = True
    Config = KSameConfig

    def run(self, config: KSameConfig, context: TrialContext) -> TrialOutcome:
        """Build and keep the pool.

        Raises:
            DataError: there are no faces for the pool.
            ConfigError: "select", and no expression is shown by more than k people.
            ProtocolError: the pool has no more than k people.
        """
        if context.faces is None:
            raise DataError("k-Same needs faces of other people; the study has prepared none")
        faces, left_out = context.faces, Counter[str]()
        expressions: list[str] = []
        if config.method == "select":
            faces, expressions, left_out = _enough_people(faces, _expressions(faces), config.k)
        pool = FacePool.build(faces, expressions, config.variance, config.warp)
        anonymizer = _anonymizer(pool, config)
        check_subject_pool(anonymizer.pool, judged=())
        pool.save(context.folder)
        counts = Counter(f"pool_{expression}" for expression in pool.expressions) or {"pool": len(pool.identities)}
        return TrialOutcome(anonymizer, training_faces={**counts, **left_out})

    def load(self, config: KSameConfig, folder: Path) -> Anonymizer:
        """Rebuild the anonymizer from the trial's folder.

        Raises:
            DataError: the folder holds no pool.
        """
        return _anonymizer(FacePool.load(folder), config)

    def label(self, config: KSameConfig) -> str:
        """For example "k-Same average k=5"."""
        return f"k-Same {config.method} k={config.k}" + (" warped" if config.warp else "")


def _anonymizer(pool: FacePool, config: KSameConfig) -> KSame:
    net = load_expression_net(EXPRESSION_NET) if config.method == "select" else None
    return KSame(pool, config.method, config.k, net)


def _expressions(faces: "FaceTable") -> list[str]:
    """What each face shows: its label, or the most probable expression where it has none."""
    net = load_expression_net(EXPRESSION_NET)
    read: list[str] = []
    with torch.no_grad():
        for indices in torch.arange(len(faces)).split(_CHUNK_IMAGES):
            read += [EXPRESSIONS[index] for index in net(faces.batch(indices).images).argmax(dim=1)]
    return [label or expression for label, expression in zip(faces.expression_labels, read, strict=True)]


def _enough_people(faces: "FaceTable", expressions: list[str], k: int) -> "tuple[FaceTable, list[str], Counter[str]]":
    """Faces whose expression more than k people show, and how many of each other expression are left out.

    Raises:
        ConfigError: no expression is left.
    """
    people: Counter[str] = Counter(expression for _, expression in set(zip(faces.identities, expressions, strict=True)))
    kept = [index for index, expression in enumerate(expressions) if people[expression] > k]
    if not kept:
        found = ", ".join(f"{expression} {count}" for expression, count in people.most_common())
        raise ConfigError(
            f"k is {k}, and no expression is shown by more people of the train split ({found}); lower k, or put more "
            "people into the train split (`data.splits.train`)"
        )
    left_out = Counter(f"left_out_{expression}" for expression in expressions if people[expression] <= k)
    return faces.take(kept), [expressions[index] for index in kept], left_out
