"""What an attacker gets, and what it must be.

Shapes: B images, N images of a set, 3 channels RGB, H = W = 112, D embedding size, K expression classes, P pairs.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

from veil.config import Settings
from veil.interfaces.models import CROP_SIZE

if TYPE_CHECKING:
    from torch import nn

    from veil.runtime import Launcher


def _no_images() -> np.ndarray:
    return np.empty((0, 3, CROP_SIZE, CROP_SIZE), np.uint8)


@dataclass(frozen=True)
class AttackSet:
    """Faces of one group of people as an attacker with one recognizer sees them.

    Attributes:
        identities: int (N,), index of the person.
        sources: int (N,), index of the source image; renderings of one source are never compared.
        clear: float32 (N, D), L2-normalised embeddings of the originals.
        anonymized: float32 (N, D), of the anonymized images.
        clear_images: uint8 (N, 3, 112, 112), the originals; empty where an attack works on embeddings alone.
        anonymized_images: uint8 (N, 3, 112, 112), as published.
    """

    identities: np.ndarray
    sources: np.ndarray
    clear: np.ndarray
    anonymized: np.ndarray
    clear_images: np.ndarray = field(default_factory=_no_images)
    anonymized_images: np.ndarray = field(default_factory=_no_images)


@dataclass(frozen=True)
class AttackSetting:
    """What one attacker is given.

    Attributes:
        target: the people under attack.
        owned: other people whose clear and anonymized images the attacker holds.
        seed: seed of everything random in the attacker.
        recognizer: the frozen net that made the embeddings, a torch module on `device`; an attacker trains a copy of
            it, never the net itself. None where an attack works on embeddings alone.
        device: where nets run.
        launcher: runs training on one or several workers; None trains here.
        folder: scratch folder that all workers reach; None if there is none.
        rehearsal: the anonymized images are known to have no content, and only the attack itself is being checked: it
            should do everything it does, as briefly as it can, and not fail for having learned too little.
    """

    target: AttackSet
    owned: AttackSet
    seed: int
    recognizer: "nn.Module | None" = None
    device: str = "cpu"
    launcher: "Launcher | None" = None
    folder: Path | None = None
    rehearsal: bool = False


@dataclass(frozen=True)
class Comparisons:
    """Scores of one way of attacking, larger meaning more alike; each pair of images at most once.

    Attributes:
        name: path in metric keys, for example "parrot" or "informed/open_set/parrot".
        scores: float (P,).
        gallery_identities, probe_identities: int (P,); equal for genuine pairs.
        gallery_sources, probe_sources: int (P,); never equal within a pair.
        exchangeable: side whose identity labels chance would deal out anew, which is the side of the anonymized images;
            "both" where one set of images is compared with itself.
        diagnostics: what the attacker says of itself, for example its training accuracy.
        gallery_members, probe_members: int (P, M), all source images behind each side of a pair where several images
            of a person are fused, the pair's own source first; None where each side is one image.
        reconstructions: uint8 (N, 3, 112, 112), what the attacker made of the anonymized target images, in the order
            of the target; None if it makes no images.
    """

    name: str
    scores: np.ndarray
    gallery_identities: np.ndarray
    probe_identities: np.ndarray
    gallery_sources: np.ndarray
    probe_sources: np.ndarray
    exchangeable: Literal["gallery", "probe", "both"] = "probe"
    diagnostics: dict[str, float] = field(default_factory=dict)
    gallery_members: np.ndarray | None = None
    probe_members: np.ndarray | None = None
    reconstructions: np.ndarray | None = None

    @property
    def genuine(self) -> np.ndarray:
        """Bool (P,), whether both sides of a pair show one person."""
        return np.asarray(self.gallery_identities == self.probe_identities)


class AttackFailedError(Exception):
    """An attacker could not do its work; the score of the trial becomes invalid, never zero."""


class Attacker(Protocol):
    """One rung of the ladder.

    Attributes:
        rung: "A0" to "A6"; from A4 on, attackers are adaptive: they learn from anonymized images.
        ensembles: whether its scores by several recognizers are also fused into one attack.
        Config: settings of its strength.
    """

    rung: ClassVar[str]
    ensembles: ClassVar[bool]
    Config: ClassVar[type[Settings]]

    def __init__(self, config: Any) -> None: ...

    def __call__(self, setting: AttackSetting) -> list[Comparisons]:
        """Attack.

        Raises:
            AttackFailedError: the attack could not be carried out, or did not learn what it must.
        """
        ...
