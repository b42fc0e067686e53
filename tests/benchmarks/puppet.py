"""Makes the weights of the conditioning `puppet`: landmarks as a linear function of pose and actions.

    python tests/benchmarks/puppet.py TABLE

fits them by least squares to the train part of a prepared face table and to its mirror images, writes them beside the
conditioning, and prints how much of the landmarks' variance they explain.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from trainables.conditioning.geometry import mirror_faces
from trainables.conditioning.puppet import WEIGHTS, features
from veil.faces.table import FaceTable
from veil.interfaces import FaceBatch


def main() -> None:
    """Fit, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    table = FaceTable.load(parser.parse_args().table).split("train")
    table = table.take(np.flatnonzero(table.has({"landmarks68", "pose"})))
    landmarks, pose = (torch.from_numpy(np.asarray(part, np.float32)) for part in (table.landmarks68, table.pose))
    plain = FaceBatch(torch.zeros(len(landmarks), 3, 112, 1).expand(-1, -1, -1, 112), landmarks, None, pose)
    mirrored = mirror_faces(plain)
    both = torch.cat([plain.landmarks, mirrored.landmarks]).double()
    assert plain.pose is not None and mirrored.pose is not None
    known = features(both, torch.cat([plain.pose, mirrored.pose]).double())
    target = both.flatten(1)
    coefficients = torch.linalg.lstsq(known, target, driver="gelsd").solution
    left = (target - known @ coefficients).square().mean(0).sum() / target.var(0).sum()
    save_file({"coefficients": coefficients.float().contiguous()}, WEIGHTS)
    print(f"{len(table)} faces and their mirror images; {1 - left:.0%} of the landmarks' variance explained")


if __name__ == "__main__":
    main()
