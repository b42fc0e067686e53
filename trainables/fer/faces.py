"""Labelled faces of the published parts of an expression dataset, as plain arrays."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from veil.datasets.dataset import Dataset
from veil.errors import DataError
from veil.expression.fer_resnet import INPUT_SIZE
from veil.faces.images import UnreadableImageError, decode_image
from veil.interfaces import EXPRESSIONS

PARTS = ("train", "search", "sealed")
"""The published training, validation and test parts, by the names that splits have."""


@dataclass(frozen=True, eq=False)
class LabelledFaces:
    """Faces of one part, as plain arrays that travel to workers.

    Attributes:
        images: uint8 (N, 48, 48), grey.
        targets: float32 (N, 7), probabilities of the expressions.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 (N,), the likeliest expression."""
        return self.targets.argmax(axis=1).astype(np.int64)

    def unseen_in(self, *others: "LabelledFaces") -> "LabelledFaces":
        """The faces whose pixels are not also among `others`: FER-2013 has the same pictures in several parts."""
        known = {image.tobytes() for faces in others for image in faces.images}
        kept = np.array([image.tobytes() not in known for image in self.images], np.bool_)
        return LabelledFaces(self.images[kept], self.targets[kept])

    @property
    def sha256(self) -> str:
        """Hash of pixels and targets, in their order."""
        return hashlib.sha256(self.images.tobytes() + self.targets.tobytes()).hexdigest()


def read_parts(dataset: Dataset, labels: Literal["hard", "votes"]) -> dict[str, LabelledFaces]:
    """Read the three parts of an expression dataset into memory.

    Raises:
        DataError: a part is empty, or an image has no label of the kind asked for or cannot be decoded.
    """
    images: dict[str, list[NDArray[np.uint8]]] = {part: [] for part in PARTS}
    targets: dict[str, list[NDArray[np.float32]]] = {part: [] for part in PARTS}
    for image in dataset.images:
        if image.split not in images:
            raise DataError(f"{image.path} belongs to no published part, expected a dataset such as fer2013 or ferplus")
        try:
            pixels = cv2.cvtColor(decode_image(image.read()), cv2.COLOR_BGR2GRAY)
        except (OSError, UnreadableImageError) as error:
            raise DataError(f"{image.path} cannot be read ({error}); take it out of the dataset") from None
        if pixels.shape != (INPUT_SIZE, INPUT_SIZE):
            pixels = cv2.resize(pixels, (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_AREA)
        images[image.split].append(pixels)
        targets[image.split].append(_target(image.path, image.expression, image.label_distribution, labels))
    empty = [part for part in PARTS if not images[part]]
    if empty:
        raise DataError(f"{dataset.name} has no images in its parts {', '.join(empty)}; all of {PARTS} are needed")
    return {part: LabelledFaces(np.stack(images[part]), np.stack(targets[part])) for part in PARTS}


def _target(
    path: str, expression: str | None, votes: tuple[float, ...] | None, labels: Literal["hard", "votes"]
) -> NDArray[np.float32]:
    if labels == "votes":
        if votes is None:
            raise DataError(f"{path} has no votes; set labels=hard, or take a dataset that has votes (ferplus)")
        return np.asarray(votes, np.float32)
    if expression is None:
        raise DataError(f"{path} has no label; take a dataset of labelled expressions (fer2013, ferplus)")
    return np.eye(len(EXPRESSIONS), dtype=np.float32)[EXPRESSIONS.index(expression)]
