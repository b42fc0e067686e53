"""Training batches whose randomness belongs to the position in the training, not to the worker or the process."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from trainables.conditioning.geometry import mirror_faces
from trainables.gan.views import DRAWS
from veil.errors import DataError
from veil.faces.table import images_to_tensor
from veil.interfaces import CROP_SIZE, Conditioning, FaceBatch

_ORDER_STREAM = 0
_SAMPLE_STREAM = 1
_MAX_MOVES = np.array([np.radians(8), 0.12, 0.12, 4.0, 4.0])


@dataclass(frozen=True, eq=False)
class TrainingFaces:
    """Faces to train on, as plain arrays that travel to workers.

    Attributes:
        images: uint8 (N, 3, 112, 112), RGB.
        landmarks: float32 (N, 68, 2), in crop pixels; NaN where a face has none.
        key: identifies the contents, for caches.
    """

    images: np.ndarray
    landmarks: np.ndarray
    key: str

    def __post_init__(self) -> None:
        if len(self.images) == 0:
            raise DataError("the train split holds no faces; prepare the data again or give it more people")

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: np.ndarray, mirrored: np.ndarray, poses: np.ndarray | None = None) -> FaceBatch:
        """Faces with their landmarks.

        Args:
            indices: int (B,), which.
            mirrored: bool (B,), those to flip left to right.
            poses: float (B, 2, 3), affine maps of crop pixels to apply before; None applies none.
        """
        images, landmarks = self.images[indices], self.landmarks[indices]
        if poses is not None:
            images = np.stack([_warp(image, pose) for image, pose in zip(images, poses, strict=True)])
            landmarks = landmarks @ poses[:, :, :2].transpose(0, 2, 1) + poses[:, None, :, 2]
        faces = FaceBatch(images_to_tensor(images), torch.from_numpy(landmarks.astype(np.float32)))
        flipped, chosen = mirror_faces(faces), torch.from_numpy(mirrored)
        return FaceBatch(
            torch.where(chosen[:, None, None, None], flipped.images, faces.images),
            torch.where(chosen[:, None, None], flipped.landmarks, faces.landmarks),
        )


class Samples(NamedTuple):
    """What chance decides about B training samples.

    Attributes:
        indices: int64 (B,), which face.
        mirrored: bool (B,), whether it is flipped left to right.
        poses: float32 (B, 2, 3), affine map of crop pixels that moves and stretches it a little.
        draws: float32 (B, DRAWS), uniform in [0, 1), for a random view.
        noise_seeds: int64 (B,), each seeds one noise image.
    """

    indices: np.ndarray
    mirrored: np.ndarray
    poses: np.ndarray
    draws: np.ndarray
    noise_seeds: np.ndarray


def draw_samples(seed: int, first: int, count: int, faces: int, augmentation: float = 1.0) -> Samples:
    """Draw the samples with the numbers `first` to `first + count - 1` of a training.

    Sample i is a pure function of (seed, i): batches of any size, on any number of workers, before or after a
    resumption, see the same faces with the same randomness.

    Args:
        seed: of the training.
        first: images seen before this batch, plus its position in the global batch.
        count: B.
        faces: N; each epoch shows each face once, in an order of its own.
        augmentation: 0 leaves poses alone; 1 rotates by at most 8°, stretches each side by at most 12 % and shifts by
            at most 4 px, so that a few people stand for more face shapes.
    """
    generators = [_generator(seed, _SAMPLE_STREAM, number) for number in range(first, first + count)]
    return Samples(
        indices=np.array([_epoch_order(seed, n // faces, faces)[n % faces] for n in range(first, first + count)]),
        mirrored=np.array([generator.random() < 0.5 for generator in generators]),
        poses=np.stack([_pose(augmentation * generator.uniform(-1, 1, 5)) for generator in generators]),
        draws=np.stack([generator.random(DRAWS, dtype=np.float32) for generator in generators]),
        noise_seeds=np.array([generator.integers(2**63) for generator in generators]),
    )


def _pose(moves: np.ndarray) -> np.ndarray:
    """Affine map (2, 3) about the middle of the crop from five numbers in [-1, 1]."""
    rotation, stretch_x, stretch_y, shift_x, shift_y = moves * _MAX_MOVES
    cosine, sine = np.cos(rotation), np.sin(rotation)
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag(np.exp([stretch_x, stretch_y]))
    middle = np.full(2, (CROP_SIZE - 1) / 2)
    shift = middle - linear @ middle + [shift_x, shift_y]
    return np.column_stack([linear, shift]).astype(np.float32)


def _warp(image: np.ndarray, pose: np.ndarray) -> np.ndarray:
    moved = cv2.warpAffine(
        image.transpose(1, 2, 0), pose, (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return moved.transpose(2, 0, 1)


def noise_images(seeds: np.ndarray, size: int, device: torch.device | str) -> Tensor:
    """Standard normal images (B, 3, size, size), each from its own seed, drawn on the device."""
    generator = torch.Generator(device)
    return torch.stack(
        [torch.randn(3, size, size, generator=generator.manual_seed(int(seed)), device=device) for seed in seeds]
    )


@lru_cache(maxsize=4)
def _epoch_order(seed: int, epoch: int, faces: int) -> np.ndarray:
    return _generator(seed, _ORDER_STREAM, epoch).permutation(faces)


def _generator(seed: int, stream: int, number: int) -> np.random.Generator:
    # Philox is counter-based: any sample's stream is reached at once (Salmon 2011).
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, number]))


class Batch(NamedTuple):
    """One worker's part of a global batch, on its device.

    Attributes:
        originals: (B, 3, 112, 112) in [-1, 1].
        condition: (B, C, 112, 112) in [-1, 1].
        samples: where it comes from.
    """

    originals: Tensor
    condition: Tensor
    samples: Samples


def make_batch(faces: TrainingFaces, conditioning: Conditioning, samples: Samples) -> Batch:
    """Assemble the faces and what the generator may see of them, on the CPU."""
    batch = faces.batch(samples.indices, samples.mirrored, samples.poses)
    return Batch(batch.images, conditioning(batch), samples)
