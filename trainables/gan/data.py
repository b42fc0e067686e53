"""Training batches whose randomness belongs to the position in the training, not to the worker or the process."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from trainables.conditioning.geometry import face_mask, mirror_faces
from trainables.gan.codes import NO_CODE, CodeSettings
from trainables.gan.rows import Rows
from trainables.gan.views import DRAWS
from veil.errors import DataError
from veil.faces.signals import count_missing
from veil.faces.table import images_to_tensor
from veil.interfaces import CROP_SIZE, Conditioning, FaceBatch

if TYPE_CHECKING:
    from veil.faces.table import FaceTable

_ORDER_STREAM = 0
_SAMPLE_STREAM = 1
_EXTRA_ORDER_STREAM = 2
_MAX_EXTENTS = np.array([np.radians(8), 0.12, 0.12, 4.0, 4.0])


@dataclass(frozen=True, eq=False)
class TrainingFaces:
    """Faces to train on, as arrays that travel to workers; of pixels in files only what is indexed is read.

    Attributes:
        images: uint8 (N, 3, 112, 112), RGB.
        landmarks: float32 (N, 68, 2), in crop pixels; NaN where a face has none.
        key: identifies the contents, for caches.
        parsing: uint8 (N, 112, 112), numbers of FACE_PARTS; None if the training needs none.
        pose: float32 (N, 3), yaw, pitch and roll in degrees; None if the training needs none.
        extra: how many of them, the last ones, are extra faces, which are sampled apart.
        people: int64 (N - extra,), number of the person, 0 to P - 1; None if the training needs none.
    """

    images: np.ndarray | Rows
    landmarks: np.ndarray
    key: str
    parsing: np.ndarray | Rows | None = None
    pose: np.ndarray | None = None
    extra: int = 0
    people: np.ndarray | None = None

    def __post_init__(self) -> None:
        if len(self.images) == self.extra:
            raise DataError("the train split holds no faces; prepare the data again or give it more people")

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: np.ndarray, mirrored: np.ndarray, moves: np.ndarray | None = None) -> FaceBatch:
        """Faces with their signals.

        Args:
            indices: int (B,), which.
            mirrored: bool (B,), those to flip left to right.
            moves: float (B, 2, 3), affine maps of crop pixels to apply before; None applies none.
        """
        images, landmarks = self.images[indices], self.landmarks[indices]
        parsing = None if self.parsing is None else self.parsing[indices]
        pose = None if self.pose is None else self.pose[indices]
        if moves is not None:
            images = np.stack(
                [_warp(image.transpose(1, 2, 0), move) for image, move in zip(images, moves, strict=True)]
            )
            images = images.transpose(0, 3, 1, 2)
            landmarks = landmarks @ moves[:, :, :2].transpose(0, 2, 1) + moves[:, None, :, 2]
            if parsing is not None:
                parsing = np.stack(
                    [_warp(one, move, cv2.INTER_NEAREST) for one, move in zip(parsing, moves, strict=True)]
                )
            if pose is not None:
                pose = pose + [0, 0, 1] * _rotation_degrees(moves)[:, None]
        faces = FaceBatch(
            images_to_tensor(images),
            torch.from_numpy(landmarks.astype(np.float32)),
            None if parsing is None else torch.from_numpy(parsing),
            None if pose is None else torch.from_numpy(pose.astype(np.float32)),
        )
        flipped, chosen = mirror_faces(faces), torch.from_numpy(mirrored)
        return FaceBatch(*(_choose(chosen, *values) for values in zip(flipped, faces, strict=True)))


def _choose(chosen: Tensor, flipped: Tensor | None, plain: Tensor | None) -> Tensor | None:
    if flipped is None or plain is None:
        return None
    return torch.where(chosen.view(-1, *[1] * (plain.ndim - 1)), flipped, plain)


def drop_incomplete(faces: "FaceTable", needs: Collection[str]) -> "tuple[FaceTable, dict[str, int]]":
    """Leave out the faces that lack a signal.

    Args:
        faces: N faces.
        needs: of `veil.faces.signals.SIGNALS`.

    Returns:
        The faces that have all of them, and how many lack each ("parsing map": 3); one that lacks two counts twice.

    Raises:
        DataError: no face is left.
    """
    dropped = count_missing(faces, needs)
    if not dropped:
        return faces, {}
    complete = np.flatnonzero(faces.has(needs))
    if len(complete) == 0:
        counts = " and ".join(f"{count} have no {words}" for words, count in dropped.items())
        raise DataError(
            f"none of the {len(faces)} training faces has all that the conditioning needs: {counts}; set "
            "'data.parsing' or 'data.dataset' so that they have, or choose another conditioning"
        )
    return faces.take(complete), dropped


class Samples(NamedTuple):
    """What chance decides about B training samples.

    Attributes:
        indices: int64 (B,), which face.
        mirrored: bool (B,), whether it is flipped left to right.
        moves: float32 (B, 2, 3), affine map of crop pixels that moves and stretches it a little.
        draws: float32 (B, DRAWS), uniform in [0, 1), for a random view.
        noise_seeds: int64 (B,), each seeds one noise image.
        codes: float32 (B, S), identity codes.
        other_codes: float32 (B, S), others for the same faces.
        preferences: float32 (B, L), uniform in [-1, 1), λ of a loss-conditional training on its logarithmic scale.
    """

    indices: np.ndarray
    mirrored: np.ndarray
    moves: np.ndarray
    draws: np.ndarray
    noise_seeds: np.ndarray
    codes: np.ndarray
    other_codes: np.ndarray
    preferences: np.ndarray

    def code(self, device: torch.device | str, other: bool = False) -> Tensor | None:
        """What the generator is told, float32 (B, S + L), with the other identity code if asked; None if nothing."""
        identity = self.other_codes if other else self.codes
        code = np.concatenate([identity, self.preferences], axis=1)
        return torch.from_numpy(code).to(device) if code.shape[1] else None


def draw_samples(
    seed: int,
    first: int,
    count: int,
    faces: int,
    augmentation: float = 1.0,
    extra: int = 0,
    extra_share: float = 0.0,
    codes: CodeSettings = NO_CODE,
    people: np.ndarray | None = None,
) -> Samples:
    """Draw the samples with the numbers `first` to `first + count - 1` of a training.

    Sample i is a pure function of (seed, i): batches of any size, on any number of workers, before or after a
    resumption, see the same faces with the same randomness.

    Args:
        seed: of the training.
        first: images seen before this batch, plus its position in the global batch.
        count: B.
        faces: N, without extra ones; each epoch shows each face once, in an order of its own.
        augmentation: 0 moves nothing; 1 rotates by at most 8°, stretches each side by at most 12 % and shifts by
            at most 4 px, so that a few people stand for more face shapes.
        extra: M extra faces, with the numbers N to N + M - 1; they have epochs of their own.
        extra_share: share of the samples that are extra faces, evenly spread; without effect where there are none.
        codes: what the generator is told.
        people: int (N,), person of each face, who is never the target of that face; None if nobody's is known.
    """
    share = extra_share if extra else 0.0
    generators = [_generator(seed, _SAMPLE_STREAM, number) for number in range(first, first + count)]
    indices = np.array([_index(seed, number, faces, extra, share) for number in range(first, first + count)])
    persons = [int(people[index]) if people is not None and index < faces else -1 for index in indices]
    return Samples(
        indices=indices,
        mirrored=np.array([generator.random() < 0.5 for generator in generators]),
        moves=np.stack([_move(augmentation * generator.uniform(-1, 1, 5)) for generator in generators]),
        draws=np.stack([generator.random(DRAWS, dtype=np.float32) for generator in generators]),
        noise_seeds=np.array([generator.integers(2**63) for generator in generators]),
        codes=_codes(codes, generators, persons),
        other_codes=_codes(codes, generators, persons),
        preferences=np.stack([2 * generator.random(len(codes.ranges), np.float32) - 1 for generator in generators]),
    )


def _codes(settings: CodeSettings, generators: list[np.random.Generator], persons: list[int]) -> np.ndarray:
    return np.stack(
        [settings.draw_identity(generator, person) for generator, person in zip(generators, persons, strict=True)]
    )


def _move(extents: np.ndarray) -> np.ndarray:
    """Affine map (2, 3) about the middle of the crop from five numbers in [-1, 1]."""
    rotation, stretch_x, stretch_y, shift_x, shift_y = extents * _MAX_EXTENTS
    cosine, sine = np.cos(rotation), np.sin(rotation)
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag(np.exp([stretch_x, stretch_y]))
    middle = np.full(2, (CROP_SIZE - 1) / 2)
    shift = middle - linear @ middle + [shift_x, shift_y]
    return np.column_stack([linear, shift]).astype(np.float32)


def _warp(image: np.ndarray, move: np.ndarray, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    return cv2.warpAffine(image, move, (CROP_SIZE, CROP_SIZE), flags=interpolation, borderMode=cv2.BORDER_REPLICATE)


def _rotation_degrees(moves: np.ndarray) -> np.ndarray:
    """Rotation of affine maps (B, 2, 3), clockwise in the picture, by polar decomposition: float (B,).

    Roll changes by it. What stretches a face is meant to make it another person's and leaves the pose alone.
    """
    return np.degrees(np.arctan2(moves[:, 1, 0] - moves[:, 0, 1], moves[:, 0, 0] + moves[:, 1, 1]))


def noise_images(seeds: np.ndarray, size: int, device: torch.device | str) -> Tensor:
    """Standard normal images (B, 3, size, size), each from its own seed, drawn on the device."""
    generator = torch.Generator(device)
    return torch.stack(
        [torch.randn(3, size, size, generator=generator.manual_seed(int(seed)), device=device) for seed in seeds]
    )


def _index(seed: int, number: int, faces: int, extra: int, share: float) -> int:
    extra_before = math.floor(number * share)
    if math.floor((number + 1) * share) > extra_before:
        return faces + _shown(seed, _EXTRA_ORDER_STREAM, extra_before, extra)
    return _shown(seed, _ORDER_STREAM, number - extra_before, faces)


def _shown(seed: int, stream: int, position: int, faces: int) -> int:
    return int(_epoch_order(seed, stream, position // faces, faces)[position % faces])


@lru_cache(maxsize=4)
def _epoch_order(seed: int, stream: int, epoch: int, faces: int) -> np.ndarray:
    return _generator(seed, stream, epoch).permutation(faces)


def _generator(seed: int, stream: int, number: int) -> np.random.Generator:
    # Philox is counter-based: any sample's stream is reached at once (Salmon 2011).
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, number]))


class Batch(NamedTuple):
    """One worker's part of a global batch, on its device.

    Attributes:
        originals: (B, 3, 112, 112) in [-1, 1].
        condition: (B, C, 112, 112) in [-1, 1].
        samples: where it comes from.
        context: (B, 1, 112, 112), 1 around the face and 0 in it; None if the training does not ask for it.
    """

    originals: Tensor
    condition: Tensor
    samples: Samples
    context: Tensor | None = None


def make_batch(faces: TrainingFaces, conditioning: Conditioning, samples: Samples, with_context: bool = False) -> Batch:
    """Assemble the faces, what the generator may see of them and, if asked, where their context is, on the CPU."""
    batch = faces.batch(samples.indices, samples.mirrored, samples.moves)
    context = (face_mask(batch) <= -1).to(batch.images.dtype) if with_context else None
    return Batch(batch.images, conditioning(batch), samples, context)
