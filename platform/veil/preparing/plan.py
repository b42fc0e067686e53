"""What is to be prepared: which images, in which parts, by which recipe, into which folder."""

import hashlib
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from veil.config import DataConfig, ExtraFacesConfig, hash_values
from veil.datasets.dataset import Skipped, SourceImage
from veil.datasets.splits import Splits, assign_splits
from veil.faces.contract import CropContract
from veil.faces.prepare import Preparation
from veil.faces.rows import SCHEMA
from veil.faces.storage import TableFolder, TableSummary
from veil.registry import datasets

PART_IMAGES = 1024


@dataclass(frozen=True)
class Recipe:
    """How faces are found and measured; names alone, which travel to workers.

    Attributes:
        detector: registered name.
        parser: registered name.
        device: where nets run.
    """

    detector: str
    parser: str
    device: str = "cpu"

    def load(self) -> Preparation:
        """Load the nets.

        Raises:
            ConfigError: there is no detector or parser of that name.
            AssetError: weights cannot be had.
        """
        return Preparation.load(self.detector, self.parser, self.device)


@dataclass(frozen=True)
class Plan:
    """What is to be prepared.

    Attributes:
        dataset: registered name.
        source: folder or archive of the dataset, for messages.
        images: all of them, in the order of the table.
        splits: where each goes.
        skipped: files that the reader does not use.
        recipe: how faces are found.
        contract: what the recipe amounts to.
        folder: where the table goes.
    """

    dataset: str
    source: str
    images: Sequence[SourceImage]
    splits: Splits
    skipped: tuple[Skipped, ...]
    recipe: Recipe
    contract: CropContract
    folder: TableFolder

    @property
    def parts(self) -> int:
        """How many parts the table has."""
        return -(-len(self.images) // self.folder.capacity)

    def part(self, number: int) -> list[tuple[SourceImage, str]]:
        """Images of one part, each with its split."""
        capacity = self.folder.capacity
        return [(image, self.splits.of(image)) for image in self.images[number * capacity : (number + 1) * capacity]]

    def close(self) -> TableSummary:
        """Make a table of the parts, when all are there.

        Raises:
            DataError: no part shows a face, a part is missing or damaged, or the folder cannot be written.
        """
        return self.folder.close(self.parts, self.dataset, self.source, self.contract, self.skipped, self.splits.notes)


def main_faces(config: DataConfig) -> ExtraFacesConfig:
    """The study's own dataset, in the words for the others."""
    return ExtraFacesConfig(dataset=config.dataset, root=config.root, images=None)


def make_plan(faces: ExtraFacesConfig, config: DataConfig, cache: Path, device: str = "cpu") -> Plan:
    """Read a dataset and decide what is to be prepared of it. The people of extra faces are not judged: all train.

    Args:
        faces: dataset, and how many images to train on.
        config: detector, parser and splits.
        cache: folder of prepared tables; the name of the new one depends on the content of the dataset, the crop
            contract, the splits and the number of images.
        device: where nets run.

    Raises:
        DataError: the dataset cannot be used (see its reader), or has too few people.
        AssetError: weights or the dataset's archive cannot be fetched.
        ConfigError: unknown dataset, detector or parser.
    """
    root = faces.root.expanduser() if faces.root is not None else None
    dataset = datasets.get(faces.dataset)(root)
    judged = config.splits if faces == main_faces(config) else None
    splits = assign_splits(dataset, judged, config.split_seed)
    contract = Recipe(config.detector, config.parsing).load().contract
    images = dataset.images
    if faces.images is not None:
        images = draw_training_images(images, splits, faces.images, config.split_seed)
    key = hash_values(
        {
            "dataset": dataset.fingerprint,
            "contract": contract.hash,
            "splits": judged.model_dump(mode="json") if judged else None,
            "split_seed": config.split_seed,
            "images": faces.images,
            "columns": SCHEMA.to_string(),
            "part_images": PART_IMAGES,
        }
    )
    folder = TableFolder(cache / f"faces-{faces.dataset}-{key}", PART_IMAGES)
    recipe = Recipe(config.detector, config.parsing, device)
    return Plan(faces.dataset, str(root or faces.dataset), images, splits, dataset.skipped, recipe, contract, folder)


def draw_training_images(
    images: Sequence[SourceImage], splits: Splits, count: int, seed: int
) -> tuple[SourceImage, ...]:
    """Keep `count` images of the train part, drawn by a hash of seed and image id, and all images of other parts.

    A larger count keeps what a smaller one keeps.
    """

    def draw(image: SourceImage) -> bytes:
        return hashlib.sha256(f"{seed}\0{image.image_id}".encode()).digest()

    training = (image for image in images if splits.of(image) == "train")
    drawn = {image.image_id for image in heapq.nsmallest(count, training, key=draw)}
    return tuple(image for image in images if splits.of(image) != "train" or image.image_id in drawn)
