"""Makes the weights of the conditionings `puppet`, `emoji` and `archetype`: linear functions of what they copy.

    python tests/benchmarks/average_faces.py TABLE

fits landmarks or grey pixels by least squares to the train part of a prepared face table and to its mirror images,
writes the coefficients beside the conditionings, and prints how much of the variance they explain.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from trainables.conditioning import archetype, emoji, puppet
from trainables.conditioning.geometry import mirror_faces
from trainables.conditioning.posterior import posteriors
from veil.faces.table import FaceTable, images_to_tensor
from veil.interfaces import FaceBatch


def main() -> None:
    """Fit, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    table = FaceTable.load(parser.parse_args().table).split("train")
    table = table.take(np.flatnonzero(table.has({"landmarks68", "pose"})))
    landmarks, pose = (torch.from_numpy(np.asarray(part, np.float32)) for part in (table.landmarks68, table.pose))
    images = images_to_tensor(table.crops[:])
    mirrored = mirror_faces(FaceBatch(images, landmarks, None, pose))
    assert mirrored.pose is not None
    both = torch.cat([landmarks, mirrored.landmarks])
    print(f"{len(table)} faces and their mirror images")
    fit(puppet.WEIGHTS, puppet.features(both, torch.cat([pose, mirrored.pose])), both)
    # An expression has no side: both images have one posterior.
    expressions = posteriors(images)
    fit(emoji.WEIGHTS, expressions.repeat(2, 1), both)
    grey = images.mean(dim=1)
    # Both images at once give what their mean gives, but for the variance explained.
    fit(archetype.WEIGHTS, expressions, (grey + grey.flip(-1)) / 2, torch.float16)


def fit(path: Path, known: Tensor, target: Tensor, kept: torch.dtype = torch.float32) -> None:
    """Write the coefficients that give a target (N, …) from features (N, F)."""
    target, known = target.flatten(1).double(), known.double()
    coefficients = torch.linalg.lstsq(known, target, driver="gelsd").solution
    left = (target - known @ coefficients).square().mean(0).sum() / target.var(0).sum()
    save_file({"coefficients": coefficients.to(kept).contiguous()}, path)
    path.chmod(0o644)
    print(f"{path.name}: {1 - left:.0%} of the variance explained")


if __name__ == "__main__":
    main()
