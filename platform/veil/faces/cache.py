"""Outputs of frozen nets on the original faces, computed once per table and net."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from veil.atomic import replace_when_complete
from veil.errors import DataError
from veil.faces.table import FaceTable, images_to_tensor

if TYPE_CHECKING:
    from torch import Tensor

_BATCH = 64


def cached_outputs(
    table: FaceTable, model_name: str, model_sha: str, compute: "Callable[[Tensor], Tensor]", folder: Path
) -> np.ndarray:
    """Return the outputs of a net on all usable faces of a table, from the cache if it has them.

    Args:
        table: faces; its data hash is part of the key.
        model_name: for the file name.
        model_sha: hash of the weights, part of the key. Whoever changes what `compute` does with the same weights (a
            softmax, another preprocessing) must use another `model_name`.
        compute: maps float (B, 3, 112, 112) in [-1, 1] to float (B, D); called without gradients.
        folder: where the cache lies.

    Returns:
        Read-only, memory-mapped float32 (N, D), in the order of the table.

    Raises:
        DataError: `compute` returned another number of rows, or values that are not finite; or the cache cannot be
            written or read.
    """
    import torch

    safe_name = re.sub(r"[^A-Za-z0-9._-]+", "-", model_name)
    path = folder / f"outputs-{safe_name}-{model_sha[:16]}-{table.data_hash}.npy"
    if not path.is_file():
        with torch.no_grad():
            outputs = [
                compute(images_to_tensor(table.crops[start : start + _BATCH])).float().cpu().numpy()
                for start in range(0, len(table), _BATCH)
            ]
        values = np.concatenate(outputs) if outputs else np.empty((0, 0), np.float32)
        if len(values) != len(table) or not np.isfinite(values).all():
            raise DataError(
                f"{model_name} returned {values.shape} for {len(table)} faces, expected one row of finite values each"
            )
        with replace_when_complete(path) as temporary, temporary.open("wb") as file:
            np.save(file, values)
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete it") from error
