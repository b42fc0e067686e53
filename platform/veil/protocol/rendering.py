"""Anonymized images as they would be published, and what frozen nets say of them."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from veil.errors import ProtocolError
from veil.faces.signals import count_missing
from veil.faces.table import FaceTable, images_to_tensor, tensor_to_images
from veil.interfaces import Anonymizer

_RANGE_TOLERANCE = 1e-3


def render(anonymizer: Anonymizer, faces: FaceTable, batch_size: int, device: torch.device | str) -> NDArray[np.uint8]:
    """Anonymize all faces of a table and store them in 8 bits, as any published image would be.

    Attackers, evaluator and grid all see these bytes; what lies below a grey level is not part of an image. Every batch
    has the same size, so that arithmetic that varies with it cannot make equal images differ.

    Returns:
        uint8 (N, 3, 112, 112), RGB.

    Raises:
        ProtocolError: a face lacks a signal that the anonymizer needs; an output has another shape, is not finite, or
            leaves [-1, 1] by more than 1e-3.
    """
    check_signals(anonymizer, faces)
    rendered = np.empty(faces.crops.shape, np.uint8)
    for indices in equal_batches(len(faces), batch_size):
        batch = faces.batch(indices).to(device)
        with torch.no_grad():
            output = anonymizer(batch)
        _check_output(output, batch.images)
        rendered[indices] = tensor_to_images(output)
    return rendered


def check_signals(anonymizer: Anonymizer, faces: FaceTable) -> None:
    """Refuse faces that an anonymizer cannot work on; a score of the others would be a score of other data.

    Raises:
        ProtocolError: a face lacks a signal that the anonymizer needs.
    """
    missing = count_missing(faces, getattr(anonymizer, "needs", ()))
    if missing:
        counts = " and ".join(f"{count} have no {words}" for words, count in missing.items())
        raise ProtocolError(
            f"the anonymizer cannot be scored: of {len(faces)} faces ({', '.join(faces.splits)}) {counts}, which it "
            "needs; change 'data.parsing' or 'data.dataset' so that they have, or the conditioning so that it does not"
        )


def _check_output(output: Any, images: Tensor) -> None:
    if not isinstance(output, Tensor) or output.shape != images.shape or not output.is_floating_point():
        found = f"{output.dtype} {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise ProtocolError(f"the anonymizer returned {found}, expected a float tensor {tuple(images.shape)}")
    if not torch.isfinite(output).all():
        raise ProtocolError("the anonymizer returned values that are not finite")
    low, high = float(output.min()), float(output.max())
    if low < -1 - _RANGE_TOLERANCE or high > 1 + _RANGE_TOLERANCE:
        raise ProtocolError(f"the anonymizer returned values in [{low:.3f}, {high:.3f}], expected [-1, 1]")


def net_outputs(
    net: Callable[[Tensor], Tensor], images: NDArray[np.uint8], batch_size: int, device: torch.device | str
) -> NDArray[np.float32]:
    """Outputs of a frozen net on 8-bit images; equal images are computed once and so get equal outputs.

    Returns:
        float32 (N, D).
    """
    index_of: dict[bytes, int] = {}
    which = np.array([index_of.setdefault(image.tobytes(), len(index_of)) for image in images], np.int64)
    distinct = images[np.unique(which, return_index=True)[1]]
    outputs: NDArray[np.float32] | None = None
    for indices in equal_batches(len(distinct), batch_size):
        with torch.no_grad():
            values = net(images_to_tensor(distinct[indices]).to(device)).float().cpu().numpy()
        if outputs is None:
            outputs = np.empty((len(distinct), *values.shape[1:]), np.float32)
        outputs[indices] = values
    if outputs is None:
        raise ProtocolError("there are no images to judge")
    return outputs[which]


def equal_batches(count: int, batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Index batches of one size that cover 0..count-1; the last one steps back instead of being shorter.

    >>> [batch.tolist() for batch in equal_batches(5, 2)]
    [[0, 1], [2, 3], [3, 4]]
    """
    size = min(batch_size, count)
    for start in range(0, count, max(size, 1)):
        stop = min(start + size, count)
        yield np.arange(stop - size, stop)
