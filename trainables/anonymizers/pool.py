"""Faces that an anonymizer mixes: one image a person, in an eigenface space, stored with the trial.

Shapes: N faces of the pool, E eigenfaces, D = 3 * 112 * 112 values of an image.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from veil.atomic import replace_when_complete
from veil.errors import DataError
from veil.interfaces import CROP_SIZE

if TYPE_CHECKING:
    from veil.faces.table import FaceTable

_FACES, _PEOPLE = "pool.npz", "pool.json"


@dataclass(frozen=True)
class FacePool:
    """One image of each person, or one for each expression that a person shows.

    Attributes:
        images: uint8 (N, 3, 112, 112), RGB, what is mixed.
        identities: N people.
        expressions: N expressions, one of `veil.interfaces.EXPRESSIONS` each, where images of one expression are mixed;
            empty where all are.
        mean: float32 (D,), the mean face in [-1, 1].
        eigenfaces: float32 (E, D), orthonormal rows.
        codes: float32 (N, E), the pool's faces in the eigenface space.
        files: names under which `save` writes.
    """

    files: ClassVar[tuple[str, ...]] = (_FACES, _PEOPLE)

    images: NDArray[np.uint8]
    identities: tuple[str, ...]
    expressions: tuple[str, ...]
    mean: NDArray[np.float32]
    eigenfaces: NDArray[np.float32]
    codes: NDArray[np.float32]

    @classmethod
    def build(
        cls, faces: "FaceTable", expressions: Sequence[str] = (), variance: float = 0.95, warp: bool = False
    ) -> Self:
        """Choose each person's image nearest to the mean of that person, of each expression where these are given.

        Args:
            faces: several images of each person.
            expressions: what each of the faces shows, or nothing.
            variance: share of the variance of the pool that the eigenfaces keep; with 1, the order of distances is the
                one in pixels.
            warp: move the landmarks of the images that are mixed to their mean shape, of each expression where these
                are given, so that features meet features, as in k-Same-M (Gross, Sweeney, de la Torre, Baker:
                Model-based face de-identification, 2006); the eigenfaces are of the images as they were.
        """
        from sklearn.decomposition import PCA

        groups: dict[tuple[str, str], list[int]] = {}
        for index, group in enumerate(zip(faces.identities, expressions or [""] * len(faces), strict=True)):
            groups.setdefault(group, []).append(index)
        chosen = np.array([_nearest_to_mean(faces, groups[group]) for group in sorted(groups)])
        crops = faces.crops[chosen]
        kept = tuple(expressions[index] for index in chosen) if expressions else ()
        pixels = (crops.reshape(len(crops), -1) / np.float32(127.5) - 1).astype(np.float32)
        pca = PCA(None if variance == 1 else variance, svd_solver="full").fit(pixels)
        return cls(
            images=_warped(crops, faces.landmarks68[chosen], kept) if warp else crops,
            identities=tuple(faces.identities[index] for index in chosen),
            expressions=kept,
            mean=pca.mean_.astype(np.float32),
            eigenfaces=pca.components_.astype(np.float32),
            codes=pca.transform(pixels).astype(np.float32),
        )

    def save(self, folder: Path) -> None:
        """Write the pool into a trial's folder, arrays and people apart; never pickled."""
        with replace_when_complete(folder / _FACES) as temporary:
            np.savez(temporary, images=self.images, mean=self.mean, eigenfaces=self.eigenfaces, codes=self.codes)
        people = {
            "identities": self.identities,
            "expressions": self.expressions,
            "sha256": _sha256(folder / _FACES),
        }
        with replace_when_complete(folder / _PEOPLE) as temporary:
            temporary.write_text(json.dumps(people, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            DataError: the pool is missing, or is not the one that was written.
        """
        try:
            people = json.loads((folder / _PEOPLE).read_text(encoding="utf-8"))
            if _sha256(folder / _FACES) != people["sha256"]:
                raise ValueError(f"the SHA-256 of {_FACES} is not the one in {_PEOPLE}")
            with np.load(folder / _FACES, allow_pickle=False) as arrays:
                return cls(identities=tuple(people["identities"]), expressions=tuple(people["expressions"]), **arrays)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"the k-Same pool in {folder} cannot be read ({error}); run the trial again") from None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _nearest_to_mean(faces: "FaceTable", members: list[int]) -> int:
    """The member nearest, in pixels, to the mean of all members; the first of equals."""
    crops = faces.crops[members].astype(np.float32)
    return members[np.square(crops - crops.mean(axis=0)).sum(axis=(1, 2, 3)).argmin()]


def _warped(crops: NDArray[np.uint8], landmarks: NDArray[np.float32], expressions: Sequence[str]) -> NDArray[np.uint8]:
    """Images whose landmarks lie where the mean of those with the same expression lies; the border stays.

    Args:
        crops: uint8 (N, 3, 112, 112).
        landmarks: float (N, 68, 2), crop pixels.
        expressions: N expressions, or none.
    """
    from skimage.transform import PiecewiseAffineTransform, warp

    steps = np.linspace(0, CROP_SIZE - 1, 3)
    border = np.array([(x, y) for x in steps for y in steps if (x, y) != (steps[1], steps[1])])
    shown = np.array(expressions or [""] * len(crops))
    warped = np.empty_like(crops)
    for index, (crop, points) in enumerate(zip(crops, landmarks, strict=True)):
        shape = landmarks[shown == shown[index]].mean(axis=0)
        back = PiecewiseAffineTransform.from_estimate(np.vstack([shape, border]), np.vstack([points, border]))
        moved = warp(crop.transpose(1, 2, 0), back, mode="edge", preserve_range=True)
        warped[index] = moved.round().astype(np.uint8).transpose(2, 0, 1)
    return warped
